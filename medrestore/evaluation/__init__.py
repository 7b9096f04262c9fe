"""Cases x methods -> scores -> statistics -> tables and report."""
