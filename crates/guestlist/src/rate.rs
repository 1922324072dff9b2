//! How often somebody may try.

use core::cmp::Ordering;
use core::error::Error;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use guestlist_membership::Actor;
use guestlist_types::{OrgId, Timestamp, UserId};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// A claim with a link's token.
    Claim,
    /// Accepting or declining an e-mail invite.
    Accept,
    /// A request without any invite.
    Request,
    /// Sending or resending so many e-mail invites.
    Invite(usize),
}

/// Where somebody comes from, as rates are counted: an IPv4 address, or the /64 network of an IPv6
/// address, because whoever has one address of it has all of them.
///
/// ```
/// # use guestlist::ClientAddress;
/// let one: ClientAddress = "2001:db8:0:1::1".parse::<core::net::IpAddr>()?.into();
/// let other: ClientAddress = "2001:db8:0:1:ffff::9".parse::<core::net::IpAddr>()?.into();
/// assert_eq!(one, other);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddress(u128);

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(address.to_bits())),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

/// Who tries something.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Tried<'a> {
    /// What.
    pub attempt: Attempt,
    /// Who; `None`: the host application itself, which is limited by nothing here.
    pub user: Option<&'a UserId>,
    /// Where from, if [`Guestlist::from_address`](crate::Guestlist::from_address) says so.
    pub address: Option<ClientAddress>,
    /// At which organization, as far as it is known before anything is looked up.
    pub host: Option<&'a OrgId>,
}

/// Whether somebody may try now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one may try or one may not")]
pub enum Rate {
    /// They may.
    Allowed,
    /// Not before this much time has passed.
    Wait(Duration),
}

/// Limits how often somebody may try. Asked before anything is looked up.
#[async_trait]
pub trait RateLimit: Send + Sync {
    /// Whether this may be tried at `now`; counts it if so.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; the attempt is refused then.
    async fn check(
        &self,
        tried: &Tried<'_>,
        now: Timestamp,
    ) -> Result<Rate, Box<dyn Error + Send + Sync>>;
}

/// Limits nothing: for hosts that do it in front of guestlist, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRateLimit;

#[async_trait]
impl RateLimit for NoRateLimit {
    async fn check(
        &self,
        _: &Tried<'_>,
        _: Timestamp,
    ) -> Result<Rate, Box<dyn Error + Send + Sync>> {
        Ok(Rate::Allowed)
    }
}

/// So many at once, and then one every so often (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    burst: u32,
    every: Duration,
}

impl Quota {
    /// At most `burst` at once, and one more each time that `every` has passed.
    #[must_use]
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every }
    }

    /// Whether so many more fit, given the time at which everything so far is used up; and that
    /// time with them. Pure: time comes in.
    #[must_use]
    pub fn take(&self, used_until: Timestamp, count: usize, now: Timestamp) -> (Rate, Timestamp) {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let every = micros(self.every);
        let from = used_until.max(now).as_micros();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let until = from.saturating_add(every.saturating_mul(count));
        let room = every.saturating_mul(i64::from(self.burst));
        let over = until.saturating_sub(now.as_micros()).saturating_sub(room);
        if over > 0 {
            let wait = Duration::from_micros(u64::try_from(over).unwrap_or(u64::MAX));
            (Rate::Wait(wait), used_until)
        } else {
            (Rate::Allowed, Timestamp::from_micros(until))
        }
    }
}

/// The default: counts in this process, for each actor and each address.
///
/// Claims, acceptances and requests: 100 at once and one a second for an actor, 300 and five a
/// second for an address. E-mail invites: 10,000 at once and ten a second for an actor.
pub struct InProcessRateLimit {
    per_actor: Quota,
    per_address: Quota,
    invites: Quota,
    used: Mutex<BTreeMap<Counted, Timestamp>>,
}

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Actor(UserId),
    Address(ClientAddress),
    Invites(UserId),
}

/// How many actors and addresses are remembered. More than that at once push out those who have
/// been quiet, then those who have tried least.
const MAX_COUNTED: usize = if cfg!(test) { 10 } else { 100_000 };

impl Default for InProcessRateLimit {
    fn default() -> Self {
        Self::new(
            Quota::new(100, Duration::from_secs(1)),
            Quota::new(300, Duration::from_millis(200)),
            Quota::new(10_000, Duration::from_millis(100)),
        )
    }
}

impl InProcessRateLimit {
    /// With these quotas for the claims of one actor, the claims from one address, and the e-mail
    /// invites of one actor. A call that invites more addresses than the last one has at
    /// once is refused however long one waits.
    #[must_use]
    pub const fn new(per_actor: Quota, per_address: Quota, invites: Quota) -> Self {
        Self {
            per_actor,
            per_address,
            invites,
            used: Mutex::new(BTreeMap::new()),
        }
    }
}

impl fmt::Debug for InProcessRateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessRateLimit")
            .field("per_actor", &self.per_actor)
            .field("per_address", &self.per_address)
            .field("invites", &self.invites)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RateLimit for InProcessRateLimit {
    async fn check(
        &self,
        tried: &Tried<'_>,
        now: Timestamp,
    ) -> Result<Rate, Box<dyn Error + Send + Sync>> {
        let Some(user) = tried.user else {
            return Ok(Rate::Allowed);
        };
        let (count, counted) = match tried.attempt {
            Attempt::Invite(count) => (count, vec![(Counted::Invites(user.clone()), self.invites)]),
            Attempt::Claim | Attempt::Accept | Attempt::Request => {
                let mut counted = vec![(Counted::Actor(user.clone()), self.per_actor)];
                counted.extend(
                    tried
                        .address
                        .map(|address| (Counted::Address(address), self.per_address)),
                );
                (1, counted)
            }
        };
        let mut until_by_name = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(counted.len());
        for (counted, quota) in counted {
            let until = until_by_name.get(&counted).copied().unwrap_or(now);
            match quota.take(until, count, now) {
                (Rate::Allowed, until) => taken.push((counted, until)),
                // Nothing is counted then, under no other name either.
                (wait @ Rate::Wait(_), _) => return Ok(wait),
            }
        }
        let room = MAX_COUNTED - taken.len();
        if until_by_name.len() > room {
            until_by_name.retain(|_, until| until.is_after(now));
            // An eighth more than has to go, since this looks at all of them.
            make_room(&mut until_by_name, room - MAX_COUNTED / 8);
        }
        until_by_name.extend(taken);
        Ok(Rate::Allowed)
    }
}

/// What an actor is to a limit.
pub(crate) fn tried<'a>(
    attempt: Attempt,
    actor: &'a Actor,
    address: Option<ClientAddress>,
    host: Option<&'a OrgId>,
) -> Tried<'a> {
    Tried {
        attempt,
        user: actor.user_id(),
        address,
        host,
    }
}

/// Forgets those who have tried least until so many are left. In the order of names, a crowd could
/// let in again somebody who is out of quota.
fn make_room(until_by_name: &mut BTreeMap<Counted, Timestamp>, left: usize) {
    let Some(last) = until_by_name.len().checked_sub(left + 1) else {
        return;
    };
    let mut ends: Vec<Timestamp> = until_by_name.values().copied().collect();
    let (before, end, _) = ends.select_nth_unstable(last);
    let end = *end;
    let mut at_the_end = 1 + before.iter().filter(|before| **before == end).count();
    until_by_name.retain(|_, until| match (*until).cmp(&end) {
        Ordering::Less => false,
        Ordering::Equal if at_the_end > 0 => {
            at_the_end -= 1;
            false
        }
        Ordering::Equal | Ordering::Greater => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    #[test]
    fn so_many_at_once_and_then_one_every_so_often() {
        let quota = Quota::new(3, Duration::from_secs(10));
        let mut until = START;
        for _ in 0..3 {
            let (rate, next) = quota.take(until, 1, START);
            assert_eq!(rate, Rate::Allowed);
            until = next;
        }
        let (rate, same) = quota.take(until, 1, START);
        assert_eq!(rate, Rate::Wait(Duration::from_secs(10)));
        assert_eq!(same, until, "a refused attempt costs nothing");
        let later = START + Duration::from_secs(10);
        assert_eq!(quota.take(until, 1, later).0, Rate::Allowed);
        assert_eq!(
            quota.take(until, 2, later).0,
            Rate::Wait(Duration::from_secs(10))
        );
        let much_later = START + Duration::from_secs(1000);
        assert_eq!(quota.take(until, 3, much_later).0, Rate::Allowed);
        assert!(matches!(quota.take(until, 4, much_later).0, Rate::Wait(_)));
        assert!(matches!(
            quota.take(until, usize::MAX, much_later).0,
            Rate::Wait(_)
        ));
    }

    #[test]
    fn a_network_counts_as_one() {
        let address = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    async fn claim(limit: &InProcessRateLimit, user: &UserId, address: u8) -> Rate {
        let tried = Tried {
            attempt: Attempt::Claim,
            user: Some(user),
            address: Some(IpAddr::from([192, 0, 2, address]).into()),
            host: None,
        };
        limit.check(&tried, START).await.unwrap()
    }

    #[tokio::test]
    async fn a_crowd_fills_no_memory_and_lets_nobody_in_again() {
        let quota = Quota::new(3, Duration::from_secs(10));
        let limit = InProcessRateLimit::new(quota, quota, quota);
        let eager = UserId::parse("a").unwrap();
        // With two addresses: each of the crowd brings two names, and these leave an odd room.
        for address in [0, 0, 98] {
            assert_eq!(claim(&limit, &eager, address).await, Rate::Allowed);
        }
        for number in 1..=20 {
            let user = UserId::parse(&format!("user_{number}")).unwrap();
            assert_eq!(claim(&limit, &user, number).await, Rate::Allowed);
            let remembered = limit.used.lock().unwrap().len();
            assert!(remembered <= MAX_COUNTED, "{remembered}");
        }
        let wait = Rate::Wait(Duration::from_secs(10));
        assert_eq!(claim(&limit, &eager, 99).await, wait);
    }
}
