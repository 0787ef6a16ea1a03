"""`water-gee train`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@options.store("Folder of the tiles.")
@click.option("--out", help="The model's file; STORE/model.keras if not given.")
@click.option("--labels", default="corrected", show_default=True,
              help="corrected (made first if there are none), qa, or a folder.")  # fmt: skip
@click.option("--network", default="pixel_cnn", show_default=True,
              help="A network's name, or MODULE:FUNCTION for one of your own.")  # fmt: skip
@options.seed
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps an epoch.")
@click.option("--patience", type=click.IntRange(min=1),
              help="Epochs without a better score after which it ends.")  # fmt: skip
@click.option("--rate", type=float, help="The first learning rate.")
@click.option("--window", type=int, help="Pixels a side of the windows in a step; 1: patches.")
@click.option("--windows", type=int, help="Windows a step.")
@click.option("--pixels", type=int, help="Pixels that count in a step; all if not given.")
@click.option("--water", type=float, help="Share of the windows around water.")
@click.option("--shore", type=float, help="How many times pixels near a shore count, up to 100.")
@click.option("--random-land", is_flag=True,
              help="Take land as it comes, not by kind of ground.")  # fmt: skip
@click.option("--jitter", type=float, help="Spread of a factor on brightness, such as 0.05.")
@click.option("--way", type=click.Choice(["auto", "dense", "patches"]), default="auto",
              show_default=True, help="Over whole windows, or pixel by pixel.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32",
              show_default=True, help="bfloat16 is for graphics processors.")  # fmt: skip
@click.option("--tensorboard", metavar="DIR", help="Write TensorBoard's logs there.")
@click.pass_obj
def train(
    obj: dict[str, Any],
    /,
    store: str,
    out: str | None,
    labels: str,
    network: str,
    seed: int,
    jitter: float | None,
    random_land: bool,
    way: Any,
    precision: Any,
    tensorboard: str | None,
    **given: Any,
) -> None:
    """Train a network on tiles."""
    from water_gee.training.augment import Augmentation
    from water_gee.training.fit import train as fit
    from water_gee.training.sampling import Sampling

    more = {name: value for name, value in given.items() if value is not None}
    names = ("window", "windows", "pixels", "water", "shore")
    chosen = {name: more.pop(name) for name in names if name in more}
    if random_land:
        chosen["stratified"] = False
    trained = fit(
        store,
        out=out,
        labels=labels,
        network=network,
        seed=seed,
        sampling=Sampling(**chosen) if chosen else None,
        augmentation=None if jitter is None else Augmentation(jitter=jitter),
        way=way,
        precision=precision,
        tensorboard=tensorboard,
        progress=obj["progress"],
        **more,
    )
    click.echo(f"{trained.path}")
