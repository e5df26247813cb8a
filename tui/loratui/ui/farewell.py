"""What is left to say in the shell after the interface has closed."""

from loratui.domain import formatting
from loratui.domain.run import LinkState, RunView
from loratui.ui.widgets.log_pane import lora_path
from loratui_protocol.messages import JobState


def farewell(view: RunView, now_s: float) -> str:
    """Return one sentence: that the run goes on and how to come back, or what became of it.

    ``now_s`` is monotonic, as the times in the view.
    """
    back = formatting.attach_command(view.name)
    if view.state.is_final:
        path = lora_path(view)
        rest = "" if view.is_settled else f" Some files are not here yet; {back} fetches them."
        on = ""
        if view.state is JobState.STOPPED and view.step:
            is_gone = view.rental is not None and view.rental.is_over
            on = f" To go on: {formatting.resume_command(view.name, elsewhere=is_gone)}"
        what = "What was drawn" if view.tries_out else "The LoRA"
        return f"{view.name} is {view.state.value}." + (f" {what}: {path}" if path else "") + rest + on
    place = "on this machine" if view.target == "local" else f"on {view.target}"
    left_s = view.deadline_left_s(now_s)
    stop = "" if left_s is None else f", auto-stop in {formatting.duration(left_s)}"
    if view.is_machine_gone:
        return f"{view.name} was {view.state.value} {place}, and that machine is gone. What was fetched is here."
    if view.link is not LinkState.UP:
        return f"{view.name} was {view.state.value} {place} when it was last heard of. Back to it: {back}"
    return f"{view.name} goes on {place}{stop}. Back to it: {back}"
