"""What Vast.ai's documents list of offers, instances and requests: the fake neither says nor takes anything else."""

from collections.abc import Mapping
from typing import Any

_NUMBER = (int, float)
OFFER: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "ask_contract_id", "bundle_id", "machine_id", "host_id", "num_gpus", "gpu_ram"), (int,)),
    **dict.fromkeys(("compute_cap", "direct_port_count", "hosting_type", "cpu_cores", "cpu_ram"), (int, type(None))),
    **dict.fromkeys(("gpu_name", "gpu_arch", "cpu_arch", "driver_version", "geolocation", "verification"), (str,)),
    **dict.fromkeys(("dph_base", "dph_total", "storage_cost", "storage_total_cost", "inet_up_cost"), _NUMBER),
    **dict.fromkeys(("inet_down_cost", "inet_up", "inet_down", "disk_space", "disk_bw", "cuda_max_good"), _NUMBER),
    **dict.fromkeys(("reliability", "reliability2", "duration", "gpu_mem_bw", "min_bid", "score"), _NUMBER),
    **dict.fromkeys(("rentable", "rented", "is_bid", "static_ip"), (bool,)),
    **dict.fromkeys(("gpu_frac", "cpu_cores_effective"), _NUMBER),
    "public_ipaddr": (str,),
    "external": (bool, type(None)),
}
"""Fields that we know, and their types; a real offer has more."""
INSTANCE: Mapping[str, tuple[type, ...]] = {
    **{name: kinds for name, kinds in OFFER.items() if name not in ("rentable", "rented", "ask_contract_id")},
    **dict.fromkeys(("actual_status", "cur_state", "next_state", "status_msg", "label", "ssh_host"), (str, type(None))),
    **dict.fromkeys(("intended_status", "image_uuid", "image_runtype", "ssh_idx", "local_ipaddrs"), (str, type(None))),
    "public_ipaddr": (str, type(None)),
    "ssh_port": (int, type(None)),
    "ports": (dict, type(None)),
    "extra_env": (list,),
    "onstart": (str,),
    **dict.fromkeys(("start_date", "end_date", "gpu_util", "gpu_temp", "disk_usage"), (*_NUMBER, type(None))),
}
CREATE: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("client_id", "image", "label", "runtype", "target_state", "onstart", "args_str"), (str,)),
    **dict.fromkeys(("image_login", "user", "jupyter_dir", "template_hash_id"), (str,)),
    **dict.fromkeys(("cancel_unavail", "force", "vm", "use_jupyter_lab", "python_utf8", "lang_utf8"), (bool,)),
    "disk": _NUMBER,
    "price": _NUMBER,
    "env": (dict,),
    "args": (list,),
    "volume_info": (dict,),
}
RUNTYPES = ("ssh", "ssh_direct", "ssh_proxy", "jupyter", "jupyter_direct", "jupyter_proxy", "args")
SEARCH = frozenset(
    {*OFFER, "type", "order", "limit", "allocated_storage", "verified", "external", "datacenter", "gpu_total_ram"}
)
OPERATORS = frozenset({"eq", "neq", "gt", "lt", "gte", "lte", "in", "notin"})


def violations(value: Mapping[str, Any], schema: Mapping[str, tuple[type, ...]]) -> list[str]:
    """Return what the documents do not list, or list with another type."""
    unknown = [f"{name} is not listed" for name in value if name not in schema]
    # bool is an int to Python, and to nobody else.
    return unknown + [
        f"{name} is {type(each).__name__}"
        for name, each in value.items()
        if name in schema and type(each) not in schema[name]
    ]


def wrong_search(wanted: Mapping[str, Any]) -> list[str]:
    """Return what a search asks for that Vast.ai does not know."""
    unknown = [f"{name} is not listed" for name in wanted if name not in SEARCH]
    operators = [op for each in wanted.values() if isinstance(each, dict) for op in each if op not in OPERATORS]
    return unknown + [f"{operator} is no operator" for operator in operators]
