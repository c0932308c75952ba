//! Generation: steps, sampling, search, streams.

use pellucid::{Generation, Model, Result};

use crate::model;

fn generated(model: &Model, options: Generation, prompts: Vec<Vec<i64>>) -> Result<Vec<Vec<i64>>> {
    let trace = model.generate_with(options);
    let ids = trace.invoke(prompts).generated().save();
    let results = trace.run()?;
    let seq = results.tensor(&ids)?.dims()[1];
    Ok(results.ints(&ids)?.chunks(seq).map(<[i64]>::to_vec).collect())
}

#[test]
fn a_seed_gives_the_same_tokens_alone_and_beside_others() -> Result<()> {
    let model = model();
    let options = Generation::new(8).endless().sampled(5).with("temperature", 3.0).with("top_k", 0i64);
    let alone = generated(&model, options.clone(), vec![vec![1, 2, 3]])?;
    assert_eq!(generated(&model, options.clone(), vec![vec![1, 2, 3]])?, alone);
    let beside = generated(&model, options.clone(), vec![vec![4, 5], vec![1, 2, 3], vec![1, 2, 3]])?;
    assert_eq!(beside[1], alone[0]);
    assert_ne!(beside[2], alone[0], "the same prompt again has a stream of its own");
    let other = generated(&model, options.sampled(6), vec![vec![1, 2, 3]])?;
    assert_ne!(other, alone);
    Ok(())
}

#[test]
fn a_draw_among_one_is_greedy() -> Result<()> {
    let model = model();
    let greedy = generated(&model, Generation::new(6).endless(), vec![vec![1, 2, 3]])?;
    let top =
        generated(&model, Generation::new(6).endless().sampled(1).with("top_k", 1i64), vec![vec![1, 2, 3]])?;
    assert_eq!(greedy, top);
    Ok(())
}

#[test]
fn a_search_finds_at_least_as_likely_a_text_as_greedy_choice() -> Result<()> {
    let model = model();
    let likelihood = |row: &[i64]| -> Result<f64> {
        let trace = model.trace();
        let all = trace.invoke(row).logits().op("log_softmax", [(-1).into()]).save();
        let logp = trace.run()?.floats(&all)?;
        Ok((3..row.len()).map(|t| f64::from(logp[(t - 1) * 96 + row[t] as usize])).sum())
    };
    let options = Generation::new(4).endless();
    let greedy = generated(&model, options.clone(), vec![vec![1, 2, 3]])?;
    let search = generated(&model, options.with("num_beams", 8i64), vec![vec![1, 2, 3]])?;
    assert!(likelihood(&search[0])? >= likelihood(&greedy[0])? - 1e-5);
    Ok(())
}

#[test]
fn rows_of_a_search_equal_their_own_single_search() -> Result<()> {
    let model = model();
    let options = Generation::new(5).with("num_beams", 3i64).ending_at(&[7]);
    let both = generated(&model, options.clone(), vec![vec![1, 2, 3], vec![9, 8, 7]])?;
    for (i, prompt) in [vec![1, 2, 3], vec![9, 8, 7]].into_iter().enumerate() {
        let alone = generated(&model, options.clone(), vec![prompt])?;
        assert_eq!(both[i][..alone[0].len()], alone[0]);
    }
    Ok(())
}

#[test]
fn repetition_can_be_penalised_away() -> Result<()> {
    let model = model();
    let options = Generation::new(20).endless().with("repetition_penalty", 1e6);
    let ids = generated(&model, options, vec![vec![1, 2, 3]])?.remove(0);
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len());
    Ok(())
}

#[test]
fn streamed_tokens_are_the_prompt_and_then_each_new_one() -> Result<()> {
    let model = model();
    let trace = model.generate_with(Generation::new(3).endless());
    let streamed = trace.list().save();
    let prompt = trace.invoke([1, 2, 3]);
    streamed.append(&prompt.streamed());
    let all = prompt.generated().save();
    let results = trace.run()?;
    let parts = results.tensors(&streamed)?;
    assert_eq!(
        parts.iter().map(|t| t.dims().to_vec()).collect::<Vec<_>>(),
        [vec![1, 3], vec![1], vec![1], vec![1]]
    );
    let joined: Vec<i64> = parts.iter().flat_map(|t| t.to_vec::<i64>().expect("ids")).collect();
    assert_eq!(joined, results.ints(&all)?);
    Ok(())
}

#[test]
fn steps_can_be_a_slice_a_list_or_the_next_one() -> Result<()> {
    let model = model();
    let trace = model.generate_with(Generation::new(6).endless());
    let (slice, list) = (trace.list().save(), trace.list().save());
    let prompt = trace.invoke([1, 2, 3]);
    slice.append(&prompt.steps(1, Some(6), 2).output("lm_head"));
    list.append(&prompt.steps_at(&[0, 4]).output("lm_head"));
    let second = prompt.next().output("lm_head").save();
    let results = trace.run()?;
    let dims = |p| -> Result<Vec<usize>> { Ok(results.tensors(p)?.iter().map(|t| t.dims()[1]).collect()) };
    assert_eq!(dims(&slice)?, [1, 1, 1]);
    assert_eq!(dims(&list)?, [3, 1]);
    assert_eq!(results.tensor(&second)?.to_vec::<f32>()?, results.tensors(&slice)?[0].to_vec::<f32>()?);
    Ok(())
}

#[test]
fn a_text_that_ends_early_ends_the_records_at_their_real_length() -> Result<()> {
    let model = model();
    let all = generated(&model, Generation::new(5).endless(), vec![vec![1, 2, 3]])?.remove(0);
    let trace = model.generate_with(Generation::new(5).ending_at(&[all[4]]));
    let seen = trace.list().save();
    let prompt = trace.invoke([1, 2, 3]);
    seen.append(&prompt.all_steps().output("lm_head"));
    let ids = prompt.generated().save();
    let results = trace.run()?;
    let first = all[3..].iter().position(|&id| id == all[4]).expect("it ends") + 1;
    assert_eq!(results.tensors(&seen)?.len(), first);
    assert_eq!(results.ints(&ids)?, all[..3 + first]);
    Ok(())
}

#[test]
fn an_unknown_option_is_refused_by_name() {
    let model = model();
    let error = generated(&model, Generation::new(2).with("temprature", 1.0), vec![vec![1]]);
    assert!(error.expect_err("misspelt").to_string().contains("temprature"));
}

#[test]
fn a_long_generation_holds_the_graph_of_one_step() -> Result<()> {
    let mut config = pellucid::tiny_config();
    config["n_positions"] = 512.into();
    let model = Model::random(config, 7)?;
    generated(&model, Generation::new(300).endless(), vec![vec![1, 2, 3]])?;
    // Nodes that are gone are swept from the table once they are more than those alive and some thousands.
    assert!(model.engine().interned() < 6000, "{} nodes", model.engine().interned());
    Ok(())
}
