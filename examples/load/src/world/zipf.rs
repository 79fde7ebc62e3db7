//! Events by popularity.

use rand::Rng;

/// A Zipf distribution with the exponent 1: the n-th event is drawn 1/n as often as the first.
#[derive(Debug)]
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    pub(super) fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=count).map(|n| {
            sum += 1.0 / n as f64;
            sum
        });
        Self(cumulated.collect())
    }

    /// A number below `count`.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.0.last().copied().unwrap_or_default();
        let point = rng.random::<f64>() * total;
        self.0.partition_point(|&sum| sum < point).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn the_first_is_drawn_about_twice_as_often_as_the_second() {
        let (zipf, mut rng) = (Zipf::new(1_000), SmallRng::seed_from_u64(7));
        let mut drawn = vec![0_u32; 1_000];
        for _ in 0..200_000 {
            drawn[zipf.draw(&mut rng)] += 1;
        }
        let ratio = f64::from(drawn[0]) / f64::from(drawn[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(drawn[999] < drawn[0] / 100);
    }
}
