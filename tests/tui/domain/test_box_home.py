import pytest

from loratui.domain.box import BoxFacts, Disk, FoundHome
from loratui.domain.box_home import choose_home
from loratui_protocol.errors import HostError

GIB = 1 << 30


def facts(*disks: Disk, homes: tuple[FoundHome, ...] = ()) -> BoxFacts:
    return BoxFacts(
        system="Linux",
        machine="x86_64",
        libc="glibc 2.35",
        user="root",
        home_folder="/root",
        cpus=8,
        ram_bytes=64 * GIB,
        disks=disks,
        homes=homes,
    )


def disk(path: str, free_gib: float, *, writable: bool = True) -> Disk:
    return Disk(path=path, free_bytes=round(free_gib * GIB), is_writable=writable)


def test_the_users_own_folder_is_taken_while_it_is_roomy():
    assert choose_home(facts(disk("/root", 30), disk("/workspace", 900))) == "/root/.loratui"


def test_where_it_is_small_the_disk_with_the_most_room_is_taken():
    assert choose_home(facts(disk("/root", 10), disk("/data", 90), disk("/workspace", 900))) == "/workspace/.loratui"


def test_among_small_disks_the_largest_will_do():
    assert choose_home(facts(disk("/root", 10), disk("/data", 5))) == "/root/.loratui"


def test_the_top_of_a_disk_gives_a_plain_path():
    assert choose_home(facts(disk("/", 100))) == "/.loratui"


@pytest.mark.parametrize(
    "home", [FoundHome(path="/mnt/x/.loratui", num_jobs=2), FoundHome(path="/mnt/x/.loratui", running_pid=7)]
)
def test_a_home_that_is_in_use_stays_whatever_its_disk(home):
    other = FoundHome(path="/root/.loratui")
    assert choose_home(facts(disk("/root", 900), homes=(other, home))) == "/mnt/x/.loratui"


def test_without_room_it_is_refused_with_every_size():
    with pytest.raises(HostError) as refused:
        choose_home(facts(disk("/root", 1), disk("/data", 500, writable=False)))
    assert refused.value.code == "host.disk"
    assert "/root has 1.1 GB free; /data has 537 GB free and can't be written" in str(refused.value)


def test_what_a_run_needs_decides():
    with pytest.raises(HostError):
        choose_home(facts(disk("/root", 30)), 40 * GIB)
    assert choose_home(facts(disk("/root", 30), disk("/data", 50)), 40 * GIB) == "/data/.loratui"
