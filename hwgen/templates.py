"""Renders a file of templates/ with values."""

import functools

import jinja2

from hwgen.share import share


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(share("templates")),
        undefined=jinja2.StrictUndefined,
        optimized=False,  # a template is used a few times: folding its constants would take longer than it saves
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template_name: str, **values) -> str:
    """The text of templates/`template_name`; a value the template asks for and does not get is an error."""
    return _environment().get_template(template_name).render(**values)
