//! Room for instances, set aside once: a fresh instance then takes no system call, where making its memory and stack
//! anew would be most of what an operation costs.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

/// Most operations at once, of all drivers.
pub(crate) const OPERATIONS: usize = 500;
/// Most memories of one component. Compilers make one.
pub(crate) const MEMORIES: u32 = 2;
/// Most tables of one component.
pub(crate) const TABLES: u32 = 16;
/// Most core instances of one component: Python's has one for each library.
pub(crate) const INSTANCES: u32 = 100;
/// Most elements of one table: large enough for the engines of interpreted languages.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;

/// Memory of an instance that ended, bytes, that is wiped and kept instead of given back.
const KEPT: usize = 512 << 10;
/// Instances that ended whose room is kept warm for the next ones.
const WARM: u32 = 16;
/// Largest description of a component's instances, bytes.
const DESCRIPTION: usize = 8 << 20;

/// An engine with room set aside; without, where the machine does not let this program have the addresses.
pub(crate) fn engine(mut settings: Config) -> Result<Engine> {
    settings.allocation_strategy(room());
    Engine::new(&settings).or_else(|error| {
        tracing::warn!(%error, "no room can be set aside for drivers; each call of a driver takes longer");
        settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&settings)
    })
}

/// Addresses, not memory: some 4 TiB of them.
fn room() -> PoolingAllocationConfig {
    let operations = OPERATIONS as u32;
    let mut room = PoolingAllocationConfig::new();
    room.total_component_instances(operations)
        .total_core_instances(operations * INSTANCES)
        .total_memories(operations * MEMORIES)
        .total_tables(operations * TABLES)
        .total_stacks(operations)
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .max_component_instance_size(DESCRIPTION)
        .max_core_instance_size(DESCRIPTION)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM)
        .pagemap_scan(Enabled::Auto);
    // Only where the kernel says which pages were written (Linux 6.7): elsewhere all of it would be.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        room.linear_memory_keep_resident(KEPT).table_keep_resident(KEPT);
    }
    room
}
