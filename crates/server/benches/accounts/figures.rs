//! Means, medians, Welch's t.

/// The value below which the share `of` of the samples lies.
pub(crate) fn quantile(samples: &[f64], of: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() as f64 * of) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[expect(clippy::cast_precision_loss, reason = "few samples")]
pub(crate) fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[expect(clippy::cast_precision_loss, reason = "few samples")]
fn variance(samples: &[f64]) -> f64 {
    let mean = mean(samples);
    samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (samples.len() as f64 - 1.0)
}

/// Welch's t: the difference of two means in units of its standard error.
#[expect(clippy::cast_precision_loss, reason = "few samples")]
pub(crate) fn welch(one: &[f64], two: &[f64]) -> f64 {
    let error = variance(one) / one.len() as f64 + variance(two) / two.len() as f64;
    (mean(one) - mean(two)) / error.sqrt()
}
