"""The opinion study: pictures of a finished evaluation, rated by people in a browser (ITU-T P.910, ACR-HR).

`build` makes the pictures and the plan, `serve` shows them, `standalone` does so without a server, `analyse` says what
the raters said, `simulate` rates with made-up raters of known faults.
"""
