//! Whole processors for tasks that ask for `cores`: each belongs to one of them at a time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use longshore_job::model::TaskGroup;

use crate::status::{Allocation, TaskPhase};

/// More processors than the kernel knows.
const MOST: u32 = 1 << 16;

/// Processors by task. The error names the task by its number within the group.
pub(crate) fn choose(
    group: &TaskGroup,
    reservable: &BTreeSet<u32>,
    taken: &BTreeSet<u32>,
) -> Result<BTreeMap<String, Vec<u32>>, (usize, String)> {
    let mut free = reservable.difference(taken).copied();
    let mut chosen = BTreeMap::new();
    for (number, task) in group.tasks.iter().enumerate().filter(|(_, task)| task.resources.cores > 0) {
        let wanted = usize::try_from(task.resources.cores).unwrap_or(usize::MAX);
        let own: Vec<u32> = free.by_ref().take(wanted).collect();
        if own.len() < wanted {
            let (all, left) = (reservable.len(), reservable.difference(taken).count());
            let message = format!(
                "Dimension \"cores\" exhausted: task {:?} asks for {wanted}, and of the {all} of this machine {left} \
                 were free for its group",
                task.name
            );
            return Err((number, message));
        }
        chosen.insert(task.name.clone(), own);
    }
    Ok(chosen)
}

/// Those that tasks of these allocations have: once all its tasks are dead, an allocation needs none any more.
pub(crate) fn held<'a>(allocs: impl Iterator<Item = &'a Allocation>) -> BTreeSet<u32> {
    let lives = |alloc: &&Allocation| alloc.tasks.values().any(|task| task.phase != TaskPhase::Dead);
    allocs.filter(lives).flat_map(|alloc| alloc.cores.values()).flatten().copied().collect()
}

/// A set as the kernel writes it: `0,5-7`.
pub(crate) fn list(cores: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for core in cores.iter().copied().collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let range = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// Reads such a list; the error is one line.
pub(crate) fn parse(list: &str) -> Result<BTreeSet<u32>, String> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    let ranges = parts.map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number < MOST);
        let range = number(first).zip(number(last)).filter(|(first, last)| first <= last);
        range.map(|(first, last)| first..=last).ok_or_else(|| format!("{part:?} is no processor and no range of them"))
    });
    Ok(ranges.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use longshore_job::model::{Resources, Task};

    use super::*;

    fn group(cores: &[u64]) -> TaskGroup {
        let task = |(number, cores): (usize, &u64)| Task {
            name: format!("t{number}"),
            resources: Resources { cores: *cores, ..Resources::default() },
            ..Task::default()
        };
        TaskGroup { tasks: cores.iter().enumerate().map(task).collect(), ..TaskGroup::default() }
    }

    #[test]
    fn lists_are_written_and_read_as_the_kernel_does() {
        for (cores, text) in [(&[][..], ""), (&[3], "3"), (&[0, 1], "0-1"), (&[7, 0, 6, 5], "0,5-7")] {
            assert_eq!(list(cores), text);
            assert_eq!(parse(text), Ok(cores.iter().copied().collect()));
        }
        assert_eq!(parse(" 0-1, 4\n"), Ok([0, 1, 4].into()));
        for wrong in ["x", "0-", "3-1", "0-1,x", "-1", "0-4294967295"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_core_is_given_once() {
        let all: BTreeSet<u32> = (0..4).collect();
        let given = choose(&group(&[1, 0, 2]), &all, &[1].into()).unwrap();
        assert_eq!(given, BTreeMap::from([("t0".into(), vec![0]), ("t2".into(), vec![2, 3])]));
        let (task, why) = choose(&group(&[0, 4]), &all, &[1].into()).unwrap_err();
        assert_eq!(task, 1);
        assert!(why.contains("\"t1\" asks for 4, and of the 4 of this machine 3 were free"), "{why}");
        assert_eq!(choose(&group(&[0]), &BTreeSet::new(), &BTreeSet::new()), Ok(BTreeMap::new()));
    }
}
