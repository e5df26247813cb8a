"""Pictures below a folder that is trained on which no training reads: too deep inside, or links to nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from loratui.preflight.trained_folders import TrainedFolder
from loratui_protocol.dataset_folders import like_pictures_in, repeats_of
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.harmless import clean
from loratui_protocol.inner_folders import broken_links, inner_folders

_SHOWN = 3


def untrained_findings(folders: Sequence[TrainedFolder]) -> Iterator[Finding]:
    """Yield what the scan of the folders does not see; pictures that another dataset trains are none of it."""
    used = {folder.path.resolve() for folder in folders}
    masks = {Path(each).resolve() for folder in folders if (each := folder.subset.config.conditioning_data_dir)}
    roots = {Path(folder.subset.image_dir): folder.subset.num_repeats is None for folder in folders}
    others = {root.resolve() for root in roots} | masks
    for root, is_numbered in roots.items():
        theirs = {other for other in others if root.resolve() in other.parents}
        below = [path for path in inner_folders(root) if theirs.isdisjoint((path.resolve(), *path.resolve().parents))]
        yield from _broken(root, [root, *below])
        is_flat = not is_numbered or root.resolve() in used
        yield from _too_deep(root, [path for path in below if path.resolve() not in used], is_flat=is_flat)


def _too_deep(root: Path, unused: Sequence[Path], *, is_flat: bool) -> Iterator[Finding]:
    """Yield one finding for each folder in the root, or for a flat one."""
    inside: dict[Path, dict[Path, int]] = defaultdict(dict)
    for path in unused:
        top = root if is_flat else root / path.relative_to(root).parts[0]
        # The scan tells of a folder without a number that has pictures.
        if (path != top or repeats_of(top.name)) and (number := len(like_pictures_in(path))):
            inside[top][path] = number
    for top, counts in inside.items():
        name = clean(top.resolve().name)
        if is_flat:
            fix = f"move them into {name}"
        elif repeats_of(top.name):
            fix = f"move them into {name}, or give them a numbered folder beside it"
        elif any(repeats_of(path.name) for path in counts):
            fix = f"set reg_data_dir to {name} if they are regularisation pictures; else move its folders out of it"
        else:
            fix = f"move them into a folder beside it whose name begins with their repeats, as 1_{name}"
        listed = ", ".join(clean(path.relative_to(top).as_posix()) for path in [*counts][:_SHOWN])
        number = sum(counts.values())
        found = Finding(
            code="dataset.inner_skipped",
            severity="warning",
            what=f"{plural(number, 'picture')} in folders inside {name} {'is' if number == 1 else 'are'} not read "
            f"(first: {listed})",
            fix=fix,
            path=str(next(iter(counts))),
        )
        files = (file for path in counts for file in like_pictures_in(path))
        yield with_paths(found, [file.relative_to(root).as_posix() for file in files])


def _broken(root: Path, folders: Sequence[Path]) -> Iterator[Finding]:
    links = [link for folder in folders for link in broken_links(folder)]
    if links:
        named = ", ".join(
            f"{clean(link.relative_to(root).as_posix())} -> {clean(str(link.readlink()))}" for link in links[:_SHOWN]
        )
        found = Finding(
            code="dataset.broken_link",
            severity="warning",
            what=f"{plural(len(links), 'link', 'leads', 'lead')} to nothing, and {'is' if len(links) == 1 else 'are'} "
            f"not read (first: {named})",
            fix="put the files themselves in their place, or remove the links",
            path=str(links[0]),
        )
        yield with_paths(found, [link.relative_to(root).as_posix() for link in links])
