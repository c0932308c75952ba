"""Mistakes: what they are called, and the lines they name."""

import torch
from suite import HostFunction, case, double

IDS = [3, 14, 15, 9, 26]
OTHER = [8, 1, 2, 40, 5]


def fault(title, kind, *lines, section="faults 14.1", model="gpt2"):
    return case(section, model, title, fault=(kind, *lines))


@fault("a module that is not there", "unknown module", 2, section="faults 3.1")
def wrong_module_name(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].attention.output.save()
    return dict(hidden=hidden)


@fault("a layer beyond the last", "unknown module", 2, section="faults 3.1")
def layer_out_of_range(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[3].output[0].save()
    return dict(hidden=hidden)


@fault("a list of modules is called by nobody", "unknown place", 2, section="faults 3.7")
def module_list_has_no_output(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h.output.save()
    return dict(hidden=hidden)


@fault("several mistakes are told together", "unknown module", 2, 3, 4, section="faults 3.1")
def several_mistakes(model, nnsight):
    with model.trace(IDS):
        a = model.transformer.x.output.save()
        b = model.transformer.y.output.save()
        c = nnsight.op("frobnicate", b).save()
    return dict(a=a, c=c)


@fault("a parameter that is not there", "unknown parameter", 2, section="faults 3.12")
def wrong_parameter_name(model, nnsight):
    with model.trace(IDS):
        weight = model.lm_head.bias.save()
    return dict(weight=weight)


@fault("an operation that is not there", "unknown op", 2)
def wrong_operation(model, nnsight):
    with model.trace(IDS):
        x = model.lm_head.output.softmaxx(-1).save()
    return dict(x=x)


@fault("a keyword that an operation does not take", "unknown keyword", 2)
def wrong_keyword(model, nnsight):
    with model.trace(IDS):
        x = model.lm_head.output.softmax(dimm=-1).save()
    return dict(x=x)


@fault("a later layer's value written into an earlier layer", "already passed", 2, 3, section="faults 5.4")
def impossible_order(model, nnsight):
    with model.trace(IDS):
        late = model.transformer.h[2].output[0]
        model.transformer.h[0].output[0][:] = late
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a later layer's value replaces an earlier layer's output", "already passed", 2, 4, section="faults 5.4", model="llama")
def impossible_replacement(model, nnsight):
    with model.trace(IDS):
        late = model.lm_head.output
        scaled = late[:, :, :16] * 2
        model.model.layers[0].mlp.output = scaled
        model.model.layers[0].output[0].save()
    return {}


@fault("an output goes into the module's own input", "already passed", 2, section="faults 5.4")
def output_into_own_input(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].mlp.input = model.transformer.h[1].mlp.output
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("two invokes wait for each other", "cycle", 3, 6, 7, 8, section="faults 5.4")
def invokes_in_a_circle(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke(IDS):
            late = model.transformer.h[2].output[0]
            held = model.transformer.h[0].output[0]
        with tracer.invoke(OTHER):
            other = model.transformer.h[2].output[0]
            model.transformer.h[0].output[0][:] = late
            held[:] = other
    return {}


@fault("a value written in place has another shape", "shape", 2, section="faults 3.8")
def write_of_another_shape(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].output[0][:] = FIVE
        logits = model.lm_head.output.save()
    return dict(logits=logits)


FIVE = torch.ones(1, 7, 16)


@fault("a replacement of another shape is told with the line that made it", "shape", 2, section="faults 3.8")
def replacement_of_another_shape(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].mlp.output = WIDE
        logits = model.lm_head.output.save()
    return dict(logits=logits)


WIDE = torch.ones(1, 5, 17)


@fault("shapes that do not go together", "shape", 4)
def shapes_do_not_broadcast(model, nnsight):
    with model.trace(IDS):
        a = model.transformer.h[0].output[0]
        b = model.transformer.h[0].attn.c_attn.output
        c = (a + b).save()
    return dict(c=c)


@fault("a product of matrices that do not fit", "shape", 2)
def product_does_not_fit(model, nnsight):
    with model.trace(IDS):
        x = (model.transformer.h[0].output[0] @ FIVE).save()
    return dict(x=x)


@fault("an index beyond the end", "index", 2)
def index_out_of_bounds(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0][0, 100].save()
    return dict(x=x)


@fault("an axis that is not there", "shape", 2)
def axis_out_of_range(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0].sum(dim=3).save()
    return dict(x=x)


@fault("more indices than axes", "shape", 2)
def too_many_indices(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[0].output[0][0, 0, 0, 0].save()
    return dict(x=x)


@fault("an element of a tuple output is assigned", "argument", 2, section="faults 3.9")
def tuple_element_assigned(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].output[0] = FIVE
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a position that a tuple does not have", "no item", 2)
def tuple_too_short(model, nnsight):
    with model.trace(IDS):
        x = model.transformer.h[1].output[7].save()
    return dict(x=x)


@fault("a field that an output object does not have", "no item", 2)
def field_not_there(model, nnsight):
    with model.trace(IDS):
        x = model.output.logitz.save()
    return dict(x=x)


@fault("a key that a dictionary does not have", "no item", 3)
def key_not_there(model, nnsight):
    with model.trace(IDS):
        values = nnsight.dict()
        x = values["a"].save()
    return dict(x=x)


@fault("a tuple is multiplied by a fraction", "argument", 2)
def operation_on_the_wrong_kind(model, nnsight):
    with model.trace(IDS):
        x = (model.transformer.h[0].output * 2.5).save()
    return dict(x=x)


@fault("a gradient without a backward", "gradient without backward", 2, section="faults 7.1")
def gradient_without_backward(model, nnsight):
    with model.trace(IDS):
        grad = model.transformer.h[1].output[0].grad.save()
        logits = model.lm_head.output.save()
    return dict(grad=grad, logits=logits)


@fault("a gradient read after the last backward", "gradient after backward", 3, 4, section="faults 7.1")
def gradient_after_backward(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].output[0]
        model.lm_head.output.sum().backward()
        grad = hidden.grad.save()
    return dict(grad=grad)


@fault("a gradient of a value that the loss does not need", "no gradient", 2, section="faults 7.1")
def gradient_of_an_unused_value(model, nnsight):
    with model.trace(IDS):
        grad = model.transformer.h[2].output[0].grad.save()
        model.transformer.h[0].output[0].sum().backward()
    return dict(grad=grad)


@fault("a backward of more than one number", "no gradient", 2, section="faults 7.2")
def backward_of_a_tensor(model, nnsight):
    with model.trace(IDS):
        model.lm_head.output.backward()
        grad = model.transformer.h[1].output[0].save()
    return dict(grad=grad)


@fault("a step beyond the last", "step never reached or never happened", 2, section="faults 8.8")
def step_beyond_the_last(model, nnsight):
    with model.generate(IDS, max_new_tokens=2):
        hidden = model.transformer.h[1].iter[2].output[0].save()
    return dict(hidden=hidden)


@fault("a step that never comes because the text ends", "never happened", 2, section="faults 8.8")
def step_after_the_end_of_text(model, nnsight):
    with model.generate(IDS, max_new_tokens=6, eos_token_id=END):
        hidden = model.transformer.h[1].iter[5].output[0].save()
    return dict(hidden=hidden)


from generation import END  # noqa: E402


@fault("a second call where there is one", "step never reached or never happened", 2, section="faults 8.4")
def call_beyond_the_only_one(model, nnsight):
    with model.trace(IDS):
        hidden = model.transformer.h[1].next().output[0].save()
    return dict(hidden=hidden)


@fault("a place outside any trace", "outside trace", 3, section="faults 3.16")
def place_outside_a_trace(model, nnsight):
    with model.session():
        values = nnsight.list()
        values.append(model.transformer.h[0].output[0])
    return {}


@fault("a place between invokes", "outside invoke", 2, section="faults 6.8")
def place_outside_an_invoke(model, nnsight):
    with model.trace() as tracer:
        hidden = model.transformer.h[0].output[0].save()
        with tracer.invoke(IDS):
            logits = model.lm_head.output.save()
    return dict(hidden=hidden, logits=logits)


@fault("a trace without an input", "no input", 1, section="faults 2")
def trace_without_input(model, nnsight):
    with model.trace():
        values = nnsight.list().save()
    return dict(values=values)


@fault("a trace of an empty invoke alone", "no input", 1, section="faults 2")
def trace_of_an_empty_invoke(model, nnsight):
    with model.trace() as tracer:
        with tracer.invoke():
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a prompt without tokens", "empty input", 1, section="faults 2")
def prompt_without_tokens(model, nnsight):
    with model.trace([[3, 14], []]):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("more tokens than positions", "context length", section="faults 2")
def prompt_too_long(model, nnsight):
    with model.trace([1] * 40):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a value of a branch used outside it", "out of scope", 5, section="faults 9.3")
def branch_value_used_outside(model, nnsight):
    with model.session() as session:
        a = nnsight.list([1])
        with session.cond(True):
            b = a[0] * 2
        c = (b + 1).save()
    return dict(c=c)


@fault("a trace inside a trace", "nesting", 2, section="faults 2")
def trace_inside_a_trace(model, nnsight):
    with model.trace(IDS):
        with model.trace(OTHER):
            logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a session inside a session", "nesting", 2, section="faults 9.1")
def session_inside_a_session(model, nnsight):
    with model.session():
        with model.session():
            with model.trace(IDS):
                logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a stop of a loop outside loops", "stop outside", 3)
def stop_outside_a_loop(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        session.recording.node("stop loop")
    return dict(values=values)


@fault("a place inside a skipped module", "never happened", 3, section="faults 9.6")
def module_behind_a_skip(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].skip((model.transformer.h[0].output[0],))
        mlp = model.transformer.h[1].mlp.output.save()
        logits = model.lm_head.output.save()
    return dict(mlp=mlp, logits=logits)


@fault("ids beyond the vocabulary", "index", section="faults 2")
def id_beyond_the_vocabulary(model, nnsight):
    with model.trace([3, 14, 4800]):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("too few arguments", "too few arguments", 2)
def too_few_arguments(model, nnsight):
    with model.trace(IDS):
        x = nnsight.op("matmul", model.lm_head.output).save()
    return dict(x=x)


@fault("too many arguments", "too many arguments", 2)
def too_many_arguments(model, nnsight):
    with model.trace(IDS):
        x = nnsight.op("exp", model.lm_head.output, 1, 2, 3, 4).save()
    return dict(x=x)


@fault("a skipped block whose value is no tuple", "argument or no item or type or shape", 2, section="faults 3.17")
def skip_of_another_kind(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].skip(7)
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a condition of more than one number", "argument or shape", 3, section="faults 9.3")
def condition_of_a_tensor(model, nnsight):
    with model.trace(IDS) as tracer:
        hidden = model.transformer.h[0].output[0]
        with tracer.cond(hidden > 0):
            x = hidden.sum().save()
    return dict(x=x)


@fault("a loop over a number", "argument", 3, section="faults 9.2")
def loop_over_a_number(model, nnsight):
    with model.session() as session:
        values = nnsight.list().save()
        with session.iter(nnsight.int(5)) as item:
            values.append(item)
    return dict(values=values)


@fault("a fault in a loop names its line", "index", 4, section="faults 9.2")
def fault_in_a_loop(model, nnsight):
    with model.session() as session:
        with session.iter([1, 2, 9]) as item:
            with model.trace(IDS):
                x = model.transformer.h[0].output[0][:, item].save()
    return dict(x=x)


@fault("a wrong name is told though its branch is not taken", "unknown module", 3, section="faults 9.3")
def wrong_name_in_a_branch(model, nnsight):
    with model.trace(IDS) as tracer:
        with tracer.cond(False):
            x = model.transformer.nothing.output.save()
    return dict(x=x)


@fault("a fault in an edit names the edit's line", "shape", 2, section="faults 11.1")
def fault_in_an_edit(model, nnsight):
    with model.edit() as edited:
        model.transformer.h[0].mlp.output[:] = FIVE
    with edited.trace(IDS):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a replaced value whose shape fails far downstream names the write", "shape", 2, section="faults 3.8", model="llama")
def shape_that_fails_downstream(model, nnsight):
    with model.trace(IDS):
        model.model.layers[0].self_attn.q_proj.output = FIVE
        logits = model.lm_head.output.save()
    return dict(logits=logits)


@fault("a gradient of another shape", "shape", 2, section="faults 7.3")
def gradient_of_another_shape(model, nnsight):
    with model.trace(IDS):
        model.transformer.h[1].output[0].grad = FIVE
        early = model.transformer.h[0].output[0].grad.save()
        model.lm_head.output[0, -1, 5].backward()
    return dict(early=early)


@fault("a batch whose mask has another shape", "shape or argument", section="faults 12.3")
def mask_of_another_shape(model, nnsight):
    with model.trace(BAD_MASK):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


BAD_MASK = {"input_ids": torch.tensor([IDS]), "attention_mask": torch.ones(1, 3, dtype=torch.int64)}


@fault("ids that are fractions", "argument or type", section="faults 12.3")
def ids_that_are_fractions(model, nnsight):
    with model.trace(FRACTIONS):
        logits = model.lm_head.output.save()
    return dict(logits=logits)


FRACTIONS = torch.tensor([[0.5, 1.5]])


@fault("a generation of a negative length", "argument", section="faults 8.2")
def negative_length(model, nnsight):
    with model.generate(IDS, max_new_tokens=-1):
        ids = model.generator.output.save()
    return dict(ids=ids)


@fault("an option of a generation that is not there", "unsupported or argument", section="faults 12.5")
def unknown_option(model, nnsight):
    with model.generate(IDS, max_new_tokens=2, max_nwe_tokens=3):
        ids = model.generator.output.save()
    return dict(ids=ids)


@fault("an optimizer of something that is no parameter", "argument", 4, section="faults 9.9")
def optimizer_of_a_number(model, nnsight):
    with model.session():
        values = nnsight.list()
        values.append(3)
        optimizer = torch.optim.SGD([3.0], lr=0.1)
        optimizer.step()
    return {}


@fault("a function that the host does not have", "no item", 2, section="faults 9.7")
def unknown_host_function(model, nnsight):
    with model.trace(IDS):
        x = nnsight.apply(MISSING, model.transformer.h[0].mlp.output).save()
    return dict(x=x)


MISSING = HostFunction(99, None)


@fault("a function of the host's that fails", "host", 2, section="faults 9.7")
def failing_host_function(model, nnsight):
    with model.trace(IDS):
        x = nnsight.apply(double, 3).save()
    return dict(x=x)
