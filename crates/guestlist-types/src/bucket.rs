//! Buckets: how the rows of many hosts are spread.

use crate::id::OrgId;

/// How many buckets there are: what two base-62 characters of a token can name.
pub const BUCKETS: u16 = 62 * 62;

/// The bucket that all rows of one host live in, 0 to 3,843.
///
/// It is a stable hash of the host's id, leads every key of every store, and is printed in the
/// first two characters of each token as its routing hint. Moving buckets between machines never
/// touches a token.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of this organization's rows: CRC-32 of the id's bytes, modulo [`BUCKETS`].
    #[must_use]
    pub fn of(org: &OrgId) -> Self {
        Self::of_bytes(org.as_str().as_bytes())
    }

    /// The bucket of rows that are keyed by something else than an organization.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let hash = crc32fast::hash(bytes) % u32::from(BUCKETS);
        Self(u16::try_from(hash).unwrap_or(0))
    }

    /// The bucket with this number, if there is one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < BUCKETS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number of this bucket.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Bucket {
    type Error = &'static str;
    fn try_from(number: u16) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("a bucket is a number below 3844")
    }
}

impl From<Bucket> for u16 {
    fn from(bucket: Bucket) -> Self {
        bucket.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_pinned() {
        // Stored keys and issued tokens depend on these numbers for ever.
        for (id, bucket) in [("org_1", 3162), ("widgets-inc", 3285), ("a", 1263)] {
            assert_eq!(Bucket::of(&OrgId::parse(id).unwrap()).get(), bucket, "{id}");
        }
    }

    #[test]
    fn buckets_are_spread() {
        let mut counts = vec![0_u32; usize::from(BUCKETS)];
        for number in 0..BUCKETS * 10 {
            let id = OrgId::parse(&format!("org_{number}")).unwrap();
            counts[usize::from(Bucket::of(&id).get())] += 1;
        }
        assert!(counts.iter().max() < Some(&40), "{counts:?}");
    }

    #[test]
    fn numbers_of_no_bucket_are_refused() {
        for number in [0, 1, 3843] {
            let bucket = Bucket::new(number).unwrap();
            assert_eq!(bucket.get(), number);
            assert_eq!(Bucket::try_from(number), Ok(bucket));
            assert_eq!(u16::from(bucket), number);
            let json = serde_json::to_string(&bucket).unwrap();
            assert_eq!(json, number.to_string());
            assert_eq!(serde_json::from_str::<Bucket>(&json).unwrap(), bucket);
        }
        for number in [BUCKETS, u16::MAX] {
            assert_eq!(Bucket::new(number), None);
            assert!(Bucket::try_from(number).is_err());
            assert!(serde_json::from_str::<Bucket>(&number.to_string()).is_err());
        }
    }
}
