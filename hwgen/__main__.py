"""python -m hwgen"""

from hwgen.cli import main

main(prog_name="hwgen")
