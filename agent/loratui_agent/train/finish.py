"""The end of a run: the last checkpoint, the LoRA file, and the pictures that show what it does."""

import logging
from collections.abc import Callable
from dataclasses import asdict

import torch

from loratui_agent.demo.concept import CONCEPTS, Concept
from loratui_agent.files import write_atomically, write_json
from loratui_agent.judge.ways import judge_run
from loratui_agent.train import evaluate, retention, saving, signals
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Outcome
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import ArtifactKind, JobState
from loratui_protocol.run_end import STOP_AT_EPOCH

logger = logging.getLogger(__name__)


def finish(run: Run, controls: Controls) -> Outcome:
    """Save everything, write the LoRA file, try it out, and say how the run ended.

    A run that was stopped early gets its file under the step's name: the plain name belongs to a complete run.
    """
    complete = run.step >= run.plan.steps
    run.reporter.emit(messages.State(state=JobState.FINISHING, detail="saving"))
    if run.step:
        saving.save_checkpoint(run)
    if not complete:
        if run.step:
            saving.save_lora(run, saving.step_file_name(run), ArtifactKind.CHECKPOINT_LORA)
        controls.answer_all(saved=run.step > 0)
        return _stopped(run)
    run.say("export", message="writing the LoRA file and reading it back")
    artifact = saving.save_lora(run, f"{run.config.output_name}.safetensors", ArtifactKind.LORA)
    if run.config.keep_best:
        retention.tell_best(run, artifact)
    signals.warn_of_no_effect(run)
    concept = CONCEPTS.get(run.job.evaluate_concept)
    if run.plan.draws_sheet:
        _unless_too_large(run, lambda: _try_out(run, concept))
    if run.config.evaluate_checkpoints:
        _unless_too_large(run, lambda: _judge(run, controls))
    run.reporter.emit(
        messages.Done(
            artifact_id=artifact.id, name=artifact.name, size=artifact.size, sha256=artifact.sha256, steps=run.step
        )
    )
    controls.answer_all(saved=True)
    return Outcome("done")


def _stopped(run: Run) -> Outcome:
    plan = run.plan
    after = f"after step {run.step} of {plan.steps}"
    if run.step >= plan.stop_step:
        what = f"stopped at epoch {plan.epoch_of(run.step)} of {plan.epochs} planned, {after}"
        return Outcome("stopped", code=STOP_AT_EPOCH, what=what)
    if not run.step:
        return Outcome("stopped", what="stopped before the first step")
    return Outcome("stopped", what=f"stopped in epoch {plan.epoch_of(run.step)} of {plan.epochs} planned, {after}")


def _unless_too_large(run: Run, try_out: Callable[[], None]) -> None:
    """Try the files out; a GPU too small for that is no failure of a run whose file is written."""
    try:
        try_out()
    except torch.OutOfMemoryError as error:
        logger.warning("not tried out: %s", error)
        run.reporter.emit(
            messages.Warn(code="tryout.oom", message="the GPU has no room to try the file out; it is complete")
        )


def _try_out(run: Run, concept: Concept | None) -> None:
    """Draw the contact sheet and, for a built-in concept, score the LoRA."""
    models, device, config = run.models, run.accelerator.device, run.config
    lora = run.job.artifacts / "lora.safetensors"
    _free(run)
    # In fp16 the VAE of a large one overflows.
    dtype = torch.bfloat16 if models.kind.is_large and run.precision == "bf16" else torch.float32
    tryout = evaluate.Tryout(
        models.path,
        models.configs,
        lora,
        device,
        config.resolution,
        clip_skip=config.clip_skip,
        max_token_length=config.max_token_length,
        dtype=dtype,
    )
    total = len(evaluate.WEIGHTS) * len(evaluate.SEEDS)
    sheet = evaluate.draw_contact_sheet(
        tryout, run.plan.samples.prompts[0].text, lambda done: run.say("contact_sheet", done, total, "pictures")
    )
    write_atomically(run.job.artifacts / "contact_sheet.png", lambda path: sheet.save(path, format="PNG"))
    name = f"{config.output_name}-contact-sheet.png"
    run.reporter.emit(run.job.publish("contact_sheet.png", ArtifactKind.CONTACT_SHEET, name, run.step))
    if concept is None:
        return
    total = evaluate.num_concept_pictures()
    scores = evaluate.score_concept(tryout, concept, lambda done: run.say("evaluate", done, total, "pictures"))
    verdict = scores.sentence(concept.trigger)
    write_json(
        run.job.artifacts / "evaluation.json",
        {**asdict(scores), "skills_kept": scores.skills_kept, "learned": scores.learned, "verdict": verdict},
    )
    name = f"{config.output_name}-evaluation.json"
    run.reporter.emit(run.job.publish("evaluation.json", ArtifactKind.EVALUATION, name, run.step))
    run.reporter.emit(messages.Evaluation(scores=evaluate.scores_as_dict(scores), verdict=verdict))


def _judge(run: Run, controls: Controls) -> None:
    """Judge the files; what keeps it from being done is no failure of a run whose file is written."""
    _free(run)
    try:
        judge_run(run, controls)
    except torch.OutOfMemoryError:
        raise
    except LoratuiError as error:
        run.reporter.emit(messages.Warn(code=error.code, message=f"not judged: {error.what}; {error.fix}"))
    except Exception as error:
        logger.exception("the files can't be judged")
        run.reporter.emit(messages.Warn(code="judge.unmeasured", message=f"not judged: {error}"))


def _free(run: Run) -> None:
    """Give back what training held: the try-out loads the base model anew. The run can't train after that."""
    run.optimizer.zero_grad(set_to_none=True)
    for module in (run.models.unet, *run.models.text_encoders.values(), run.models.vae):
        if module is not None:
            # accelerate keeps the modules, so they are emptied: meta tensors hold nothing.
            module.to("meta")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
