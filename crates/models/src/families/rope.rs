//! Rotary embeddings as configurations describe them.

use pellucid_nn::layers::{RotaryAngles, RotaryScaling};
use pellucid_tensor::DType;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::{ModelError, Result};

/// What a family's rotary embedding has besides its scaling.
pub(super) struct Rope {
    /// Channels of a head that are turned.
    pub(super) d_rotary: usize,
    /// Base of the frequencies.
    pub(super) theta: f64,
    /// `max_position_embeddings`.
    pub(super) n_positions: usize,
}

/// The angles that `rope_scaling` describes.
///
/// # Errors
/// [`ModelError::Invalid`], [`ModelError::Missing`] and [`ModelError::Unhandled`] name the attribute, such as
/// `rope_scaling.factor`.
pub(super) fn angles(config: &Config<'_>, rope: &Rope) -> Result<RotaryAngles> {
    let Rope { d_rotary, theta, n_positions } = *rope;
    if d_rotary == 0 || !d_rotary.is_multiple_of(2) {
        return Err(ModelError::Invalid {
            attribute: "channels to rotate".into(),
            expected: "an even number greater than zero".into(),
            got: d_rotary.to_string(),
        });
    }
    // Only LongRoPE reads this one outside of `rope_scaling`.
    let outer = config.optional_size("original_max_position_embeddings")?;
    let scaling = match config.raw("rope_scaling") {
        None => RotaryScaling::Default,
        Some(Value::Object(attributes)) => {
            Scaling { config, attributes, n_positions }.read(d_rotary, outer)?
        }
        Some(other) => return Err(Config::invalid("rope_scaling", "an object", other)),
    };
    Ok(RotaryAngles { d_rotary, theta, scaling, precision: DType::F32 })
}

/// The object `rope_scaling`.
struct Scaling<'a> {
    config: &'a Config<'a>,
    attributes: &'a Map<String, Value>,
    n_positions: usize,
}

impl Scaling<'_> {
    fn read(&self, d_rotary: usize, outer: Option<usize>) -> Result<RotaryScaling> {
        let kind = self.kind()?;
        let (known, scaling): (&[&str], _) = match kind {
            "default" => (&[], RotaryScaling::Default),
            "linear" => (&["factor"], RotaryScaling::Linear { factor: self.factor()? }),
            "dynamic" => (
                // The reference takes the trained context from `max_position_embeddings`.
                &["factor", "original_max_position_embeddings"],
                RotaryScaling::Dynamic { factor: self.factor()?, original: self.n_positions },
            ),
            "llama3" => (
                &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
                RotaryScaling::Llama3 {
                    factor: self.factor()?,
                    low: self.required("low_freq_factor")?,
                    high: self.required("high_freq_factor")?,
                    original: self.required("original_max_position_embeddings")? as usize,
                },
            ),
            "yarn" => (
                &[
                    "factor",
                    "original_max_position_embeddings",
                    "attention_factor",
                    "beta_fast",
                    "beta_slow",
                    "mscale",
                    "mscale_all_dim",
                ],
                self.yarn()?,
            ),
            "longrope" => (
                &[
                    "factor",
                    "short_factor",
                    "long_factor",
                    "attention_factor",
                    "original_max_position_embeddings",
                ],
                self.longrope(d_rotary / 2, outer)?,
            ),
            other => return Err(self.config.unhandled("rope_scaling.rope_type", other)),
        };
        for (name, value) in self.attributes {
            if !known.contains(&name.as_str()) && name != "rope_type" && name != "type" {
                return Err(self.config.unhandled(&path(name), &value.to_string()));
            }
        }
        Ok(scaling)
    }

    /// The kind of scaling, by its new or its old attribute.
    fn kind(&self) -> Result<&str> {
        let text = |name: &str| match self.attributes.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(Config::invalid(&path(name), "a text", other)),
        };
        match (text("rope_type")?, text("type")?) {
            (Some(new), Some(old)) if new != old => Err(ModelError::Invalid {
                attribute: path("type"),
                expected: format!("the same as `rope_type`, `{new}`"),
                got: old.into(),
            }),
            (new, old) => new.or(old).ok_or_else(|| ModelError::Missing { attribute: path("rope_type") }),
        }
    }

    fn yarn(&self) -> Result<RotaryScaling> {
        let stated = self.factor()?;
        let original = self.number("original_max_position_embeddings")?;
        // With the trained context given, the reference takes the factor from the two contexts.
        let factor = original.map_or(stated, |original| self.n_positions as f64 / original);
        let scale = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
        let nonzero = |name| Ok::<_, ModelError>(self.number(name)?.filter(|&x| x != 0.0));
        let attention =
            match (self.number("attention_factor")?, nonzero("mscale")?, nonzero("mscale_all_dim")?) {
                (Some(given), ..) => given,
                (None, Some(mscale), Some(all)) => scale(mscale) / scale(all),
                _ => scale(1.0),
            };
        Ok(RotaryScaling::Yarn {
            factor,
            original: original.map_or(self.n_positions, |n| n as usize),
            beta_fast: nonzero("beta_fast")?.unwrap_or(32.0),
            beta_slow: nonzero("beta_slow")?.unwrap_or(1.0),
            attention,
        })
    }

    fn longrope(&self, n: usize, outer: Option<usize>) -> Result<RotaryScaling> {
        let (short, long) = (self.divisors("short_factor", n)?, self.divisors("long_factor", n)?);
        let original = outer.unwrap_or(self.n_positions);
        let attention = match self.number("attention_factor")? {
            Some(given) => given,
            None => {
                let factor = match outer {
                    Some(original) => self.n_positions as f64 / original as f64,
                    None => self.factor()?,
                };
                let grown = (1.0 + factor.ln() / (original as f64).ln()).sqrt();
                if factor <= 1.0 { 1.0 } else { grown }
            }
        };
        Ok(RotaryScaling::LongRope { short, long, original, attention })
    }

    /// A list with a divisor for each of `n` frequencies.
    fn divisors(&self, name: &str, n: usize) -> Result<Vec<f64>> {
        let value = self.attributes.get(name).ok_or_else(|| ModelError::Missing { attribute: path(name) })?;
        let all: Option<Vec<f64>> =
            value.as_array().and_then(|items| items.iter().map(Value::as_f64).collect());
        match all {
            Some(all) if all.len() == n => Ok(all),
            _ => Err(Config::invalid(&path(name), &format!("a list of {n} numbers"), value)),
        }
    }

    fn factor(&self) -> Result<f64> {
        self.required("factor")
    }

    fn required(&self, name: &str) -> Result<f64> {
        self.number(name)?.ok_or_else(|| ModelError::Missing { attribute: path(name) })
    }

    /// A positive number, if given.
    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.attributes.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(x) if x >= 0.0 => Ok(Some(x)),
                _ => Err(Config::invalid(&path(name), "a number not below zero", value)),
            },
        }
    }
}

fn path(name: &str) -> String {
    format!("rope_scaling.{name}")
}
