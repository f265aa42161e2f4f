import click

from hwgen.cli.options import FILE, folder_argument
from hwgen.cli.terminal import imports
from hwgen.errors import BadInput


@click.command()
@folder_argument
@click.option("-o", "--out", required=True, type=FILE, help="File to write: net.qonnx. There must be none yet.")
@click.option("--nir", is_flag=True, help="A spiking network as NIR instead: net.nir, the extra hwgen[nir].")
@click.option(
    "--dt", type=float, help="With --nir: seconds of a time step, of which the file's time constants are made."
)
def export(folder, out, nir, dt):
    """Write the network of DIR as QONNX, for FINN, qonnx and others: the extra hwgen[onnx].

    Weights are floats behind Quant nodes, activations Quant or MultiThreshold nodes; each tensor has its name in
    golden.json and the same values. With --nir a spiking one is written for snnTorch, Norse, spikingjelly and others,
    and what that format does not hold is told.
    """
    if nir != (dt is not None):
        raise BadInput("--nir without --dt, or --dt alone", "--nir, --dt", "give both, as --nir --dt 1e-4")
    if nir:
        with imports():
            from hwgen.export.nir import export as write_nir

        for note in write_nir(folder, out, dt):
            click.echo(f"not in the file: {note}")
        click.echo(f"{out}: NIR, {out.stat().st_size:,} bytes")
        return
    with imports():
        from hwgen.export.qonnx import export as write

    for note in write(folder, out):
        click.echo(f"an executor in float32 rounds: {note}")
    click.echo(f"{out}: QONNX, {out.stat().st_size:,} bytes")
