//! What the fuzz targets share: the formats read in another way. What is done in a small world is
//! in `guestlist-testkit`.

pub mod format;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use arbitrary::{Arbitrary, Unstructured};

/// Values up to the end of the input, at most 64. A plain `Vec` asks a coin before every value, so
/// that most are short.
#[derive(Debug)]
pub struct Many<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Many<T> {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut values = Vec::new();
        while !input.is_empty() && values.len() < 64 {
            values.push(input.arbitrary()?);
        }
        Ok(Self(values))
    }
}

/// At most 15 values; how many is said first.
#[derive(Debug)]
pub struct Few<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Few<T> {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let number = u8::arbitrary(input)? % 16;
        let mut values = Vec::new();
        for _ in 0..number {
            if input.is_empty() {
                break;
            }
            values.push(input.arbitrary()?);
        }
        Ok(Self(values))
    }
}

/// Runs a future that never waits.
///
/// # Panics
///
/// If it waits.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("this future was never to wait"),
    }
}
