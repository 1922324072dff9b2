//! A hash chain over the audit trail: whoever changes or removes an event in the middle is found
//! out.

use core::fmt;

use guestlist_membership::Sequence;
use guestlist_store::{EventFilter, Recorded, Store};
use guestlist_types::ConsumerName;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::facade::Guestlist;

/// The key of the chain. It belongs outside of the store. Wiped when dropped, and can't be read
/// back.
pub struct AuditKey(Zeroizing<Vec<u8>>);

/// A key of fewer than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an audit key has at least 32 bytes")]
pub struct AuditKeyError;

impl AuditKeyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "audit-key-too-short"
    }
}

impl AuditKey {
    /// The key with these bytes, which should be random. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`AuditKeyError`] below 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AuditKeyError> {
        if bytes.len() < 32 {
            return Err(AuditKeyError);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    fn hash(&self, domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(domain);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// What is left of an event's personal data when that is erased. Without the key nobody can
    /// try out what it was.
    pub(crate) fn mark(&self, recorded: &Recorded) -> [u8; 32] {
        if recorded.event.erased() == recorded.event {
            return recorded.erased.unwrap_or_default();
        }
        let event = serde_json::to_vec(&recorded.event).unwrap_or_default();
        self.hash(b"guestlist/audit-personal/v1\0", &[&event])
    }

    fn extend(&self, head: &[u8; 32], recorded: &Recorded) -> [u8; 32] {
        let public = (
            recorded.sequence,
            recorded.commit,
            &recorded.organization,
            &recorded.stamp,
            recorded.event.erased(),
        );
        let public = serde_json::to_vec(&public).unwrap_or_default();
        let personal = self.mark(recorded);
        self.hash(b"guestlist/audit/v1\0", &[head, &public, &personal])
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

/// The chain up to an event. Keep some of them elsewhere, on paper or with somebody else: who has
/// the key, the store and all heads can make another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The last event that it covers.
    pub sequence: Sequence,
    /// The hash over everything up to there.
    pub hash: [u8; 32],
}

impl ChainHead {
    const GENESIS: Self = Self {
        sequence: Sequence {
            commit: 0,
            ordinal: 0,
        },
        hash: [0; 32],
    };
}

/// What checking the chain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainReport {
    /// Whether the log up to the head is the one that the chain was made over.
    pub intact: bool,
    /// How many events were looked at.
    pub events: u64,
    /// The head that was checked against.
    pub head: ChainHead,
}

impl<S: Store> Guestlist<S> {
    /// Puts what has happened since the last call on the hash chain, at most `limit` events, and
    /// gives its head. Events are covered from then on, so call it again and again; keep a head
    /// elsewhere now and then.
    ///
    /// The chain covers what happened, when, by whom, and the words and addresses of members by a
    /// keyed digest of each event, so that [erasing](Guestlist::erase) them doesn't break it.
    ///
    /// # Errors
    ///
    /// `no-audit-key`, `consumer-taken` if another process does the same now, those of the store.
    pub async fn seal_audit(&self, limit: u32) -> Result<ChainHead, Error> {
        let key = self.config.audit_key.as_ref().ok_or(Error::NoAuditKey)?;
        let consumer = self.consumer(chain(), EventFilter::default());
        let lasts = core::time::Duration::from_secs(60);
        let mut leased = consumer.lease(lasts).await?.ok_or(Error::ConsumerTaken)?;
        let mut head = ChainHead {
            sequence: leased.acknowledged(),
            hash: leased.chain().unwrap_or_default(),
        };
        let batch = consumer.behind(head.sequence, limit).await?;
        for recorded in &batch.events {
            head = ChainHead {
                sequence: recorded.sequence,
                hash: key.extend(&head.hash, recorded),
            };
        }
        let sealed = head;
        leased
            .write(
                |record| {
                    record.acknowledged = sealed.sequence;
                    record.chain = Some(sealed.hash);
                },
                Vec::new(),
                Vec::new(),
            )
            .await?;
        leased.release().await?;
        Ok(head)
    }

    /// Checks that the log is the one that the chain was made over, from its beginning to a head:
    /// the one that is stored, or one that was kept elsewhere. Reads all events up to there.
    ///
    /// # Errors
    ///
    /// `no-audit-key`, those of the store.
    pub async fn verify_audit(&self, head: Option<&ChainHead>) -> Result<ChainReport, Error> {
        let key = self.config.audit_key.as_ref().ok_or(Error::NoAuditKey)?;
        let consumer = self.consumer(chain(), EventFilter::default());
        let head = if let Some(head) = head {
            *head
        } else {
            let kept = consumer.kept().await?;
            ChainHead {
                sequence: kept.acknowledged(),
                hash: kept
                    .record
                    .and_then(|record| record.chain)
                    .unwrap_or_default(),
            }
        };
        let mut at = ChainHead::GENESIS;
        let mut events = 0;
        'log: while at.sequence < head.sequence {
            let batch = consumer.behind(at.sequence, 1000).await?;
            if batch.events.is_empty() {
                break;
            }
            for recorded in &batch.events {
                if recorded.sequence > head.sequence {
                    break 'log;
                }
                events += 1;
                at = ChainHead {
                    sequence: recorded.sequence,
                    hash: key.extend(&at.hash, recorded),
                };
            }
        }
        Ok(ChainReport {
            intact: at == head,
            events,
            head,
        })
    }
}

fn chain() -> ConsumerName {
    ConsumerName::parse("audit-chain").expect("plain words are a name")
}
