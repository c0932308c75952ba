"""Sessions, conditions, loops, stops, builtins, and how values come back."""

import pytest

import pellucid
from pellucid import NNsightError

PROMPT = "The Eiffel Tower is in the city of"


def test_values_flow_between_traces_of_a_session_without_being_saved(model):
    with model.session():
        with model.trace(PROMPT):
            hidden = model.transformer.h[1].output[0]
        with model.trace(PROMPT):
            model.transformer.h[1].output[0][:] = hidden * 0
            after = model.transformer.h[1].output[0].save()
    assert after.abs().max() == 0


@pytest.mark.parametrize("truth", [True, False])
def test_a_condition_decides(model, truth):
    with model.trace(PROMPT) as tracer:
        with tracer.cond(truth) as condition:
            model.transformer.h[0].output[0][:] = 0
            yes = pellucid.int(1).save()
        with condition.else_():
            no = pellucid.int(2).save()
        hidden = model.transformer.h[0].output[0].save()
    assert (hidden.abs().max() == 0) == truth
    if truth:
        assert yes == 1
        with pytest.raises(ValueError, match="before it's been set"):
            no.value
    else:
        assert no == 2


def test_a_value_is_a_condition(model):
    with model.trace(PROMPT) as tracer:
        hidden = model.transformer.h[0].output[0]
        with tracer.cond((hidden ** 2).sum() >= 0):
            hidden[:] = 0
        with tracer.cond((hidden ** 2).sum() > 0):
            hidden[:] = 1
        hidden = hidden.save()
    assert hidden.abs().max() == 0


def test_a_loop_goes_over_values_and_nests(model):
    with model.session() as session:
        found = pellucid.list().save()
        rows = pellucid.list([[0, 1], [2, 3]])
        with session.iter(rows) as row:
            with session.iter(row) as item:
                with session.cond(item % 2 == 0):
                    found.append(item)
    assert found == [0, 2]


def test_a_stop_ends_the_loop_and_only_it(model):
    with model.session() as session:
        found = pellucid.list().save()
        with session.iter([0, 1, 2, 3]) as item:
            with session.cond(item == 2):
                session.stop()
            found.append(item)
        with session.iter([7]) as item:
            found.append(item)
    assert found == [0, 1, 7]


def test_nothing_behind_a_stop_runs(model):
    with model.trace(PROMPT):
        early = model.transformer.h[0].output[0].save()
        model.transformer.h[0].output.stop()
        late = model.transformer.h[2].output[0].save()
    assert early.ndim == 3
    with pytest.raises(ValueError):
        late.value


def test_builtins_are_made_when_the_program_runs_and_are_pythons_outside(model):
    with model.trace(PROMPT):
        numbers = pellucid.list([pellucid.int(1)]).save()
        numbers.append(pellucid.str("a"))
        table = pellucid.dict().save()
        table["a"] = pellucid.float(2)
    assert numbers == [1, "a"] and table == {"a": 2.0}
    assert pellucid.list((1, 2)) == [1, 2]


def test_saved_proxies_elsewhere_act_as_their_values(model):
    kept = []
    with model.trace(PROMPT):
        for block in model.transformer.h:
            kept.append(block.output[0].save())
        unsaved = model.transformer.h[0].output[0]
    assert len(kept) == 6
    assert kept[0].shape == kept[0].value.shape
    assert (kept[0] + 1)[0, 0, 0] == kept[0].value[0, 0, 0] + 1
    assert float((kept[1] - kept[1]).sum()) == 0
    with pytest.raises(ValueError, match="before it's been set"):
        unsaved.value


def test_variables_of_functions_modules_and_closures_take_their_values(model):
    def inner():
        with model.trace(PROMPT):
            hidden = model.transformer.h[0].output[0].save()

        def reads():
            return hidden

        return hidden, reads()

    first, second = inner()
    assert isinstance(first, pellucid.Tensor) and first is second
    scope = {"model": model, "PROMPT": PROMPT}
    exec("with model.trace(PROMPT):\n    hidden = model.lm_head.output.save()", scope)
    assert isinstance(scope["hidden"], pellucid.Tensor)


def test_without_injection_values_are_asked_for(model):
    pellucid.CONFIG.APP.FRAME_INJECTION = False
    try:
        with model.trace(PROMPT):
            hidden = model.lm_head.output.save()
    finally:
        pellucid.CONFIG.APP.FRAME_INJECTION = True
    assert isinstance(hidden, pellucid.InterventionProxy) and hidden.value.ndim == 3


def test_what_the_users_code_raises_propagates_and_nothing_runs(model):
    with pytest.raises(ZeroDivisionError):
        with model.trace(PROMPT) as tracer:
            tracer.log("ran")
            1 / 0


def test_logs_are_shown_in_order(model, capsys):
    with model.trace(PROMPT) as tracer:
        tracer.log("shape", model.lm_head.output.shape)
        pellucid.log("second")
    assert capsys.readouterr().out == f"shape (1, 10, 2048)\nsecond\n"


def test_functions_of_the_users_are_applied(model):
    with model.trace(PROMPT):
        text = pellucid.apply(model.tokenizer.decode, model.lm_head.output[0, -1].argmax(-1)).save()
        scaled = pellucid.apply(lambda x, factor: x * factor, model.lm_head.output, factor=2).save()
        logits = model.lm_head.output.save()
    assert isinstance(text, str)
    assert (scaled - logits * 2).abs().max() == 0


def test_what_an_applied_function_raises_is_raised(model):
    class Own(Exception):
        pass

    def fails(_):
        raise Own("no")

    with pytest.raises(Own) as caught:
        with model.trace(PROMPT):
            pellucid.apply(fails, model.lm_head.output).save()
    assert isinstance(caught.value, NNsightError)


def test_mistakes_name_the_users_line_and_keep_their_type(model):
    with pytest.raises(IndexError) as caught:
        with model.trace(PROMPT):
            model.transformer.h[0].output[0][:, 100].save()  # this line
    assert isinstance(caught.value, NNsightError)
    assert "index 100 is out of bounds for dimension 1 with size 10" in str(caught.value)
    assert "# this line" in str(caught.value)
    assert caught.value.line.startswith(__file__)


def test_unknown_names_are_found_at_once_with_the_closest(model):
    with pytest.raises(AttributeError, match="'GPT2Model' object has no attribute 'hh'\n.*`h`"):
        model.transformer.hh
    with pytest.raises(IndexError):
        model.transformer.h[99]
    with pytest.raises(AttributeError, match="only available inside a trace"):
        model.lm_head.output


def test_a_never_reached_step_is_an_error(model):
    with pytest.raises(ValueError, match="never took effect"):
        with model.generate(PROMPT, max_new_tokens=2, eos_token_id=None):
            model.lm_head.iter[5].output.save()


def test_control_flow_on_values_says_how_to_write_it(model):
    with pytest.raises(TypeError, match="tracer.cond"):
        with model.trace(PROMPT):
            if model.lm_head.output.sum() > 0:
                pass


def test_shapes_and_lengths_are_known_at_once(model):
    with model.trace(PROMPT):
        hidden, = model.transformer.h[0].output[:1]
        batch, seq, width = hidden.shape
        assert (int(batch), int(seq), int(width)) == (1, 10, 128)
        assert len(hidden[0]) == 10
        assert "10" in repr(hidden)


def test_lengths_that_steps_decide_are_not_guessed(model):
    with pytest.raises(TypeError, match="known only when the trace runs"):
        with model.generate(PROMPT, max_new_tokens=3):
            found = pellucid.list()
            with model.all():
                found.append(model.lm_head.output)
            len(found)


def test_a_scan_knows_shapes_and_computes_nothing(model):
    with model.scan(PROMPT):
        width = model.transformer.h[0].output[0].shape[-1]
        hidden = model.transformer.h[0].output[0]
    assert width == 128 and tuple(hidden.shape) == (1, 10, 128)


def test_blocks_that_cannot_be_opened_say_so(model):
    with pytest.raises(Exception, match="Can't create an invoker context with one already open!"):
        with model.trace(PROMPT) as tracer:
            with tracer.invoke(PROMPT):
                pass
    with pytest.raises(ValueError, match="Can't create a Session"):
        with model.session():
            with model.session():
                pass
    with pytest.raises(ValueError, match="Can't execute on no inputs!"):
        model.trace(trace=False)


def test_other_threads_trace_too(model):
    import threading

    found = []

    def work():
        with model.trace(PROMPT):
            logits = model.lm_head.output.save()
        found.append(logits)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and (found[0] - found[2]).abs().max() == 0


def test_files_for_nnsight_run(tmp_path):
    import subprocess
    import sys

    script = tmp_path / "uses.py"
    script.write_text(
        "import nnsight\nfrom nnsight import LanguageModel, CONFIG\nfrom nnsight.tracing.graph import Proxy\n"
        "model = LanguageModel('demo')\n"
        "with model.trace('a b'):\n    x = model.lm_head.output.save()\n    assert isinstance(x, Proxy)\n"
        "print(tuple(x.shape))\n")
    done = subprocess.run([sys.executable, "-m", "pellucid", "run", str(script)], capture_output=True, text=True)
    assert done.stdout == "(1, 2, 2048)\n", done.stderr


def test_an_interrupt_ends_a_long_run(tmp_path):
    import signal
    import subprocess
    import sys

    script = tmp_path / "long.py"
    script.write_text(
        "import pellucid\nmodel = pellucid.LanguageModel('demo')\nprint('ready', flush=True)\n"
        "with model.session() as session:\n"
        "    with session.iter(list(range(10**6))) as item:\n"
        "        with model.trace('a b c d e f g h'):\n"
        "            x = model.lm_head.output.sum().item().save()\n")
    running = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(1)
    running.send_signal(signal.SIGINT)
    try:
        assert running.wait(20) != 0
    finally:
        running.kill()
    assert "KeyboardInterrupt" in running.stderr.read()
