"""Other tools' formats that a build's network can be written in."""
