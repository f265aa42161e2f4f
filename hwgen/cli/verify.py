import click

from hwgen.cli.options import (
    count_option,
    edited_option,
    folder_argument,
    input_option,
    mode_option,
    seed_option,
    simulator_option,
    stall_option,
)
from hwgen.cli.terminal import imports, stages


@click.command()
@folder_argument
@input_option
@count_option
@simulator_option
@stall_option
@seed_option
@mode_option
@edited_option
@click.option("--inside", is_flag=True, help="Compare what runs inside and what neurons keep of each step, too.")
def verify(folder, sources, count, simulator, stall, seed, mode, edited, inside):
    """Compare the RTL in DIR with the golden integers, frame by frame.

    Exits 0 when all are equal. When one differs, every stream is recorded and the first wrong layer, channel and pixel
    is named.
    """
    with imports():
        from hwgen.load import load_batch
        from hwgen.verify import verify as compare

    x, labels = load_batch(sources, count)
    with stages("verify", folder, f" on {simulator}"):
        options = {"stall": stall, "seed": seed, "mode": mode, "inside": inside}
        result = compare(folder, x, labels=labels, simulator=simulator, edited=edited, **options)
    accuracy = f", accuracy {result['accuracy']:.2%}" if "accuracy" in result else ""
    if result["edited"]:
        click.echo(
            f"edited since the build: {', '.join(result['edited'])}; what they have for the board's XILINX did not run"
        )
    click.echo(
        f"{folder}: bit-exact {result['equal']} of {result['frames']} frames, {result['cycles']} cycles, "
        f"the first frame after {result['latency']} (predicted {result['predicted_latency']}){accuracy}"
    )
    if inside:
        numbers = sum(result["inside"].values())
        click.echo(f"inside: {numbers:,} numbers of {len(result['inside'])} streams and memories of neurons are equal")
    for number, count in enumerate(result["modes"]):
        share = result["accuracy_of_modes"][number] if "accuracy_of_modes" in result else None
        click.echo(f"mode {number}: {count} frames" + ("" if share is None else f", accuracy {share:.2%}"))
    click.echo(f"compiled in {result['compile_seconds']:.1f} s, simulated in {result['run_seconds']:.1f} s")
