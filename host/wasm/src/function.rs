//! One function that a component exports.

use std::marker::PhantomData;

use wasmtime::{
    Store,
    component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc},
};

use crate::store::Operation;

/// Where a function is in a component, and what passes through it: parameters `P`, a tuple, and result `R`.
///
/// The bindings would load all functions of an interface to call one, which takes as long as the call itself. What is
/// lent to one with `'static` in its parameters is lent for the call: it is one with any shorter lifetime, too.
pub(crate) struct Function<P, R> {
    index: ComponentExportIndex,
    types: PhantomData<fn() -> (P, R)>,
}

/// What can be passed: a tuple.
pub(crate) trait Parameters: ComponentNamedList + Lower + Send + Sync {}
impl<T: ComponentNamedList + Lower + Send + Sync> Parameters for T {}

/// What can come back.
pub(crate) trait Results: Lift + Send + Sync + 'static {}
impl<T: Lift + Send + Sync + 'static> Results for T {}

impl<P, R> Function<P, R>
where
    P: Parameters,
    R: Results,
{
    /// Finds it by name.
    pub(crate) fn find(pre: &InstancePre<Operation>, interface: &str, name: &str) -> wasmtime::Result<Self> {
        let component = pre.component();
        let found = component.get_export_index(None, interface);
        let found = found.and_then(|interface| component.get_export_index(Some(&interface), name));
        let index = found.ok_or_else(|| wasmtime::format_err!("`{interface}` does not export `{name}`"))?;
        Ok(Self { index, types: PhantomData })
    }

    /// Compares its types with the contract's.
    pub(crate) fn check(&self, store: &mut Store<Operation>, instance: &Instance) -> wasmtime::Result<()> {
        self.load(store, instance).map(drop)
    }

    /// Calls it.
    pub(crate) async fn call(
        &self,
        store: &mut Store<Operation>,
        instance: &Instance,
        parameters: P,
    ) -> wasmtime::Result<R> {
        let (result,) = self.load(store, instance)?.call_async(store, parameters).await?;
        Ok(result)
    }

    fn load(&self, store: &mut Store<Operation>, instance: &Instance) -> wasmtime::Result<TypedFunc<P, (R,)>> {
        instance.get_typed_func(store, self.index)
    }
}
