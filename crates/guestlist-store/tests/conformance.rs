//! The memory store passes its own suite.

use async_trait::async_trait;
use guestlist_store::conformance::Fixture;
use guestlist_store::{KvStore, MemoryKv, MemoryStore, Store};

/// Fresh stores in memory.
#[derive(Debug)]
struct Memory;

#[async_trait]
impl Fixture for Memory {
    type Store = MemoryStore;

    async fn store(&self) -> MemoryStore {
        MemoryStore::in_memory()
    }

    async fn reopen(&self, _: MemoryStore) -> Option<MemoryStore> {
        None
    }
}

mod memory {
    guestlist_store::conformance_tests!(super::Memory);
}

/// The same, with its bytes carried over to another store, as by an engine that is durable.
#[derive(Debug)]
struct Durable;

#[async_trait]
impl Fixture for Durable {
    type Store = MemoryStore;

    async fn store(&self) -> MemoryStore {
        MemoryStore::in_memory()
    }

    async fn reopen(&self, store: MemoryStore) -> Option<MemoryStore> {
        let kv: MemoryKv = store.kv().clone();
        Some(KvStore::new(kv, store.capabilities()))
    }
}

mod durable {
    guestlist_store::conformance_tests!(super::Durable);
}
