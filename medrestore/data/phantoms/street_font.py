"""Letters for signs and number plates: a 5 x 7 dot alphabet, so that pictures do not depend on installed fonts."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.texture import Array

# Seven rows a letter, two hexadecimal digits each; the highest of five bits is the left dot.
_ROWS = {
    "A": "0E11111F111111",
    "B": "1E11111E11111E",
    "C": "0E11101010110E",
    "D": "1E11111111111E",
    "E": "1F10101E10101F",
    "F": "1F10101E101010",
    "G": "0E11101711110F",
    "H": "1111111F111111",
    "I": "0E04040404040E",
    "J": "0702020202120C",
    "K": "11121418141211",
    "L": "1010101010101F",
    "M": "111B1515111111",
    "N": "11111915131111",
    "O": "0E11111111110E",
    "P": "1E11111E101010",
    "Q": "0E11111115120D",
    "R": "1E11111E141211",
    "S": "0F10100E01011E",
    "T": "1F040404040404",
    "U": "1111111111110E",
    "V": "11111111110A04",
    "W": "1111111515150A",
    "X": "11110A040A1111",
    "Y": "11110A04040404",
    "Z": "1F01020408101F",
    "0": "0E11131519110E",
    "1": "040C040404040E",
    "2": "0E11010204081F",
    "3": "1F02040201110E",
    "4": "02060A121F0202",
    "5": "1F101E0101110E",
    "6": "0608101E11110E",
    "7": "1F010204080808",
    "8": "0E11110E11110E",
    "9": "0E11110F01020C",
    " ": "00000000000000",
}
LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"


def lettering(text: str) -> Array:
    """Draw a line of text, bool (9, 6 n + 1), one dot of margin all around.

    Args:
        text: capital letters, digits and spaces.
    """
    page = np.zeros((9, 6 * len(text) + 1), bool)
    for place, letter in enumerate(text):
        rows = bytes.fromhex(_ROWS[letter])
        page[1:8, 6 * place + 1 : 6 * place + 6] = [[row >> bit & 1 for bit in (4, 3, 2, 1, 0)] for row in rows]
    return page


def ink(page: Array, right: Array, up: Array) -> Array:
    """Say where a page of `lettering` is inked.

    Args:
        page: (rows, columns).
        right: position from the left edge (0) to the right edge (1).
        up: position from the lower edge (0) to the upper edge (1).

    Returns:
        Bool, broadcast shape; False outside the page.
    """
    rows, columns = page.shape
    row, column = np.floor((1 - up) * rows).astype(np.int32), np.floor(right * columns).astype(np.int32)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return page[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] & inside
