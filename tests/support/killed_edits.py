"""A program of its own, since it forks: edits and their taking back, killed at every point."""

import sys
from pathlib import Path

from loratui.preflight.changes import CreateFile, Edit, MakeFolder, Move, WriteFile
from loratui.preflight.edits import apply, undo
from support.trees import killed_everywhere, tree


def main(folder: Path) -> None:
    """Say at how many points an edit was killed, and its taking back; fail where not all is as before."""
    dataset = folder / "place" / "pictures"
    dataset.mkdir(parents=True)
    (dataset / "a.txt").write_bytes(b"a cat")
    (dataset / "b.txt").write_bytes(b"\xff\xfea\x00")
    (dataset / "b.txt").chmod(0o640)
    (dataset / "a.png").write_bytes(b"picture")
    (dataset / "twice.png").write_bytes(b"picture")
    edit = Edit(
        title="All there is",
        changes=(
            WriteFile("a.txt", b"a cat", b"zorb, a cat"),
            WriteFile("b.txt", b"\xff\xfea\x00", b"a"),
            MakeFolder("10_zorb"),
            Move("a.png", "10_zorb/a.png"),
            CreateFile("10_zorb/a.txt", b"zorb"),
            MakeFolder("../pictures.set-aside"),
            Move("twice.png", "../pictures.set-aside/twice.png"),
        ),
    )
    before = tree(dataset.parent)
    counts = []
    for place in killed_everywhere(dataset.parent, lambda place: apply(edit, place / "pictures")):
        undo(place / "pictures")
        assert tree(place) == before, place
        assert not (place / "pictures" / ".loratui-undo").exists(), place
        counts.append(place)
    apply(edit, dataset)
    after = tree(dataset.parent)
    assert after != before
    edited = len(counts)
    for place in killed_everywhere(dataset.parent, lambda place: undo(place / "pictures")):
        undo(place / "pictures")
        assert tree(place) == before, place
        assert not (place / "pictures" / ".loratui-undo").exists(), place
        counts.append(place)
    print(edited, len(counts) - edited)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
