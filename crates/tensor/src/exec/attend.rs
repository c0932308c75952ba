//! Fused attention over views of queries, keys and values.

use pellucid_kernels::attention::{AttentionMask, AttentionOptions, AttentionShape, attention};

use super::product::heads_last;
use crate::op::Attention;
use crate::value::Value;

/// A view whose rows are contiguous and whose strides do not walk backwards.
fn rows_in(value: &Value) -> Value {
    let last = value.strides[3] == 1 || value.dims[3] == 1;
    if last && value.strides.iter().all(|&s| s >= 0) { value.clone() } else { value.contiguous() }
}

fn strides(value: &Value) -> [usize; 3] {
    [0, 1, 2].map(|d| value.strides[d] as usize)
}

/// The result lies position by position, so that joining the heads copies nothing.
pub(super) fn attend(
    spec: &Attention,
    q: &Value,
    k: &Value,
    v: &Value,
    mask: Option<&Value>,
    dims: &[usize],
) -> Option<Value> {
    let (q, k, v) = (rows_in(q), rows_in(k), rows_in(v));
    let mut out = heads_last(dims);
    let shape = AttentionShape {
        batch: dims[0],
        heads: dims[1],
        kv_heads: k.dims[1],
        q_len: dims[2],
        kv_len: k.dims[2],
        d_head: q.dims[3],
        d_value: v.dims[3],
        q_strides: strides(&q),
        k_strides: strides(&k),
        v_strides: strides(&v),
        out_strides: strides(&out),
    };
    let mask = match mask {
        Some(m) if m.strides.iter().any(|&s| s < 0) => Some(m.contiguous()),
        other => other.cloned(),
    };
    let mask = match &mask {
        Some(m) => {
            // Bytes of truth values that are neither 0 nor 1 are left to the reference.
            let visible: &[bool] = bytemuck::checked::try_cast_slice(&m.buffer.bytes()[m.offset..]).ok()?;
            Some(AttentionMask { visible, strides: [0, 1, 2, 3].map(|d| m.strides[d] as usize) })
        }
        None => None,
    };
    let options = AttentionOptions {
        scale: spec.scale,
        causal: spec.causal,
        window: spec.window.filter(|_| spec.causal),
        softcap: spec.softcap,
        mask,
    };
    let empty = shape.batch * shape.heads * shape.q_len * shape.d_value == 0;
    if !empty {
        // A block laid out otherwise than its shape is written as a whole.
        let bytes = std::sync::Arc::get_mut(&mut out.buffer)?.bytes_mut();
        let elements = |v: &Value| v.offset.min(v.block::<f32>().len());
        attention(
            &q.block::<f32>()[elements(&q)..],
            &k.block::<f32>()[elements(&k)..],
            &v.block::<f32>()[elements(&v)..],
            bytemuck::cast_slice_mut(bytes),
            &shape,
            &options,
        );
    }
    Some(out)
}
