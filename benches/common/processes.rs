//! What the kernel knows of processes: who descends from whom, CPU and memory.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// USER_HZ: Linux shows times to user space in hundredths of a second on every machine we run on.
const TICK: Duration = Duration::from_millis(10);

/// A process and all that descend from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    pub root: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of the process itself and of those children that it has waited for.
    ticks: u32,
}

impl Tree {
    /// The processes that live, the root first.
    pub fn processes(self) -> Vec<u32> {
        self.stats().into_iter().map(|(id, _)| id).collect()
    }

    /// User and system time of all, those that ended included.
    pub fn cpu(self) -> Duration {
        TICK * self.stats().iter().map(|(_, stat)| stat.ticks).sum()
    }

    fn stats(self) -> Vec<(u32, Stat)> {
        let mut all = all_stats();
        let mut tree = Vec::new();
        if let Some(root) = all.remove(&self.root) {
            tree.push((self.root, root));
        }
        let mut at = 0;
        while at < tree.len() {
            let parent = tree[at].0;
            tree.extend(all.extract_if(|_, stat| stat.parent == parent));
            at += 1;
        }
        tree
    }
}

/// User and system time of all children of this process that have ended and were waited for.
pub fn children_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    // cutime, cstime
    let ticks = behind.split_ascii_whitespace().skip(13).take(2);
    TICK * ticks.filter_map(|field| field.parse::<u32>().ok()).sum()
}

fn all_stats() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            Some((id, parse(&text)?))
        })
        .collect()
}

/// Fields are counted behind the name, which is in parentheses and may contain anything.
fn parse(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    let fields = behind.split_ascii_whitespace().collect::<Vec<_>>();
    // utime, stime, cutime, cstime
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u32>());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.sum::<Result<u32, _>>().ok()?,
    })
}

/// The proportional set size of a process, in KiB.
pub fn pss(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
