"""docs/compress.md shows what benchmarks/compress.json holds, and nothing else."""

from benchmarks import compress


def test_the_document_s_tables_are_those_of_the_results():
    _, _, rest = compress.DOCUMENT.read_text().partition(compress.START)
    made, end, _ = rest.partition(compress.END)
    assert end and made.strip() == compress.tables(compress.read_results()).strip()


def test_every_result_is_of_a_run_that_the_command_does():
    results = compress.read_results()
    assert results and set(results) <= set(compress.runs())
    for name, result in results.items():
        net, recipe, seed = compress.runs()[name]
        assert (result["net"], result["seed"]) == (net, seed) == (net, recipe.training.seed)
        assert result["recipe"]["weights"] == vars(recipe.weights)
