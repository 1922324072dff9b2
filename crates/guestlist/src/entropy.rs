//! Where randomness comes from.

use std::sync::{Mutex, PoisonError};

use rand_core::{TryCryptoRng, TryRng};

/// No randomness could be had; nothing was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no randomness could be had")]
pub struct EntropyError;

impl EntropyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "entropy-unavailable"
    }
}

/// Draws random bytes fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] if there are none; `bytes` must not be used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The randomness of the operating system.
#[cfg(feature = "getrandom")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

#[cfg(feature = "getrandom")]
impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::SysRng
            .try_fill_bytes(bytes)
            .map_err(|_| EntropyError)
    }
}

/// Any cryptographic generator of `rand_core`, behind a lock; a seeded one makes tests repeat.
impl<R: TryCryptoRng + Send> Entropy for Mutex<R> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_fill_bytes(bytes)
            .map_err(|_| EntropyError)
    }
}

impl<E: Entropy + ?Sized> Entropy for std::sync::Arc<E> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

/// Entropy as the generator that ids and tokens are drawn with.
pub(crate) struct Rng<'a>(pub(crate) &'a dyn Entropy);

impl TryRng for Rng<'_> {
    type Error = EntropyError;

    fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(bytes)
    }
}

impl TryCryptoRng for Rng<'_> {}
