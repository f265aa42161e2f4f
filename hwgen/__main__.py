"""python -m hwgen"""

from hwgen.cli import main

main()
