//! Persistent edits and attached modules.

use pellucid::nn::{Args, Forward, Layer, LayerFuture, ModuleId, Parameter, RandomWeights};
use pellucid::{Generation, Result};

use crate::{logits, model};

#[test]
fn edits_stack_and_leave_the_model_alone() -> Result<()> {
    let model = model();
    let plain = logits(&model, &[1, 2, 3]);
    let once = model.edit(|m| m.mlp_out(0).assign(0.0));
    let twice = once.edit(|m| m.mlp_out(1).assign(0.0));
    let both = {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3]);
        prompt.mlp_out(0).assign(0.0);
        prompt.mlp_out(1).assign(0.0);
        let out = prompt.logits().save();
        trace.run()?.floats(&out)?
    };
    assert_eq!(logits(&twice, &[1, 2, 3]), both);
    assert_ne!(logits(&once, &[1, 2, 3]), both);
    assert_eq!(logits(&model, &[1, 2, 3]), plain);
    assert_eq!(logits(&twice.without_edits(), &[1, 2, 3]), plain);
    let mut own = model.clone();
    own.edit_in_place(|m| m.mlp_out(0).assign(0.0));
    assert_eq!(logits(&own, &[1, 2, 3]), logits(&once, &[1, 2, 3]));
    own.clear_edits();
    assert_eq!(logits(&own, &[1, 2, 3]), plain);
    Ok(())
}

#[test]
fn a_second_edit_sees_what_the_first_left() -> Result<()> {
    let model = model();
    let edited = model
        .edit(|m| m.set_output("transformer.h.0.mlp", &m.mlp_out(0) * 0.0))
        .edit(|m| m.set_output("transformer.h.0.mlp", &m.mlp_out(0) + 1.0));
    let trace = edited.trace();
    let mlp = trace.invoke([1, 2]).mlp_out(0).save();
    assert!(trace.run()?.floats(&mlp)?.iter().all(|&x| x == 1.0));
    Ok(())
}

#[test]
fn an_edit_holds_for_all_rows_of_all_invokes_and_all_steps() -> Result<()> {
    let edited = model().edit(|m| m.mlp_out(0).assign(0.0));
    let trace = edited.trace();
    let rows = trace.invoke(vec![vec![1, 2, 3], vec![4]]).mlp_out(0).save();
    let other = trace.invoke([5, 6]).mlp_out(0).save();
    let results = trace.run()?;
    for proxy in [&rows, &other] {
        assert!(results.floats(proxy)?.iter().all(|&x| x == 0.0));
    }
    let trace = edited.generate_with(Generation::new(4).endless());
    let seen = trace.list().save();
    let prompt = trace.invoke([1, 2, 3]);
    seen.append(&prompt.all_steps().mlp_out(0));
    let results = trace.run()?;
    let steps = results.tensors(&seen)?;
    assert_eq!(steps.len(), 4);
    for step in steps {
        assert!(step.to_vec::<f32>()?.iter().all(|&x| x == 0.0));
    }
    Ok(())
}

/// A sparse autoencoder of one expansion.
struct Autoencoder {
    id: ModuleId,
    encoder: std::sync::Arc<Linear>,
    decoder: std::sync::Arc<Linear>,
}

struct Linear {
    id: ModuleId,
    weight: Parameter,
}

impl Layer for Linear {
    fn module(&self) -> ModuleId {
        self.id
    }
    fn forward<'a>(&'a self, pass: &'a Forward<'a>, args: Args) -> LayerFuture<'a> {
        let run = || {
            let x = args.var(0, "input")?.get()?;
            Ok(pellucid::Value::tensor(x.matmul(&self.weight.get().transpose(0, 1)?)?))
        };
        LayerFuture::built(pass, self.id, run())
    }
}

impl Layer for Autoencoder {
    fn module(&self) -> ModuleId {
        self.id
    }
    fn forward<'a>(&'a self, pass: &'a Forward<'a>, args: Args) -> LayerFuture<'a> {
        LayerFuture::running(pass, self.id, async move || {
            let features = pass.call(&*self.encoder, args).await?;
            pass.call(&*self.decoder, Args::default().and(features)).await
        })
    }
}

#[test]
fn values_inside_an_attached_module_can_be_read_and_written() -> Result<()> {
    let model = model();
    let mut weights =
        RandomWeights { engine: model.engine().clone(), seed: 3, deviation: 0.3, residual_scale: 1.0 };
    let attached = model.attach("layers[0]", "sae", "Autoencoder", &mut weights, |b| {
        let linear = |b: &mut pellucid::nn::TreeBuilder<'_>, dims: &[usize]| {
            let layer = Linear { id: b.id(), weight: b.parameter("weight", dims)? };
            Ok(b.register(layer))
        };
        Ok(Autoencoder {
            id: b.id(),
            encoder: b.child("encoder", "Linear", "", |b| linear(b, &[32, 16]))?,
            decoder: b.child("decoder", "Linear", "", |b| linear(b, &[16, 32]))?,
        })
    })?;
    assert!(attached.network().tree().printout().contains("(sae): Autoencoder"));
    let routed = attached.edit(|m| {
        let hidden = m.resid_post(0);
        let back = m.call_hooked("layers[0].sae", &hidden);
        hidden.assign(&back);
    });
    let trace = routed.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let features = prompt.output("transformer.h.0.sae.encoder").save();
    let (before, after) = (prompt.resid_pre(1).save(), prompt.output("transformer.h.0.sae").save());
    let results = trace.run()?;
    assert_eq!(results.tensor(&features)?.dims(), [1, 3, 32]);
    assert_eq!(results.floats(&before)?, results.floats(&after)?);
    // With all features off, nothing comes out of the decoder.
    let trace = routed.trace();
    let prompt = trace.invoke([1, 2, 3]);
    prompt.output("transformer.h.0.sae.encoder").assign(0.0);
    let after = prompt.resid_pre(1).save();
    assert!(trace.run()?.floats(&after)?.iter().all(|&x| x == 0.0));
    Ok(())
}
