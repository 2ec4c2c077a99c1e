//! Rules about puts that are not final, where a final one would be unsafe.

use probe_common::Fact;

use super::{Accounts, All, FinalElsewhere, Not, Rule, Severity, UnsafeIfFinal, case, is, words};

pub const ONE_SHRINK_AWAY: Rule = Rule {
    id: "one-shrink-away",
    title: "One shrink of the dentry cache away from an unsafe final put",
    means: "The put was not final. But the references that it left were the inode's dentries, and \
            nobody used those (d_lockref.count was zero): once the dentry cache is shrunk, the \
            same put is the last, in a context where that is unsafe or a deadlock. The rules that \
            it would then break are listed after this one. Proved is who held the references at \
            that moment; not, that nobody takes another one before the put in every run.",
    cases: &[case(
        Severity::Latent,
        All(&[is(Fact::NonFinal), is(Fact::OneShrinkAway), UnsafeIfFinal]),
    )],
    accounts_for: Accounts::NONE,
    why: "Every dentry holds a reference to its inode (fs/dcache.c, __d_instantiate()), also when \
          nobody uses it any more. It stays in the cache until memory is short (fs/dcache.c, \
          prune_dcache_sb()), which may be at any moment, on another CPU. The shrinker drops the \
          dentry's reference, and whoever puts the inode next, puts the last one. A dentry that was \
          looked up since the last pass is passed over once (DCACHE_REFERENCED).",
    says: &[words(
        "If they have active counts, just remove them from the LRU. Otherwise give them another \
         pass through the LRU.",
        "fs/dcache.c, dentry_lru_isolate()",
    )],
    seen_in: "Ceph's writeback put inodes that the dentry cache nearly always held for years, until \
              machines were short of memory (history:ceph-wb-self-wait-2025).",
    way_out: "As for the rules that it would break: put from a worker, or after the lock is \
              released. `lastref run --provoke` makes the dentries go while a test runs, and with \
              them the doubt.",
    expected_when: "Where another reference is certain to outlive the put, one that was taken \
                    after this call looked.",
};

pub const FINAL_ELSEWHERE: Rule = Rule {
    id: "final-elsewhere",
    title: "Not final, but at this site others were, and it is unsafe",
    means: "The put was not final, and something else than unused dentries held the inode, or it is \
            not known what. But the same chain of calls has dropped the last reference of an inode \
            of the same filesystem at another time, in a context that was looked at.",
    cases: &[case(
        Severity::Latent,
        All(&[
            is(Fact::NonFinal),
            Not(&is(Fact::OneShrinkAway)),
            FinalElsewhere,
            UnsafeIfFinal,
        ]),
    )],
    accounts_for: Accounts::NONE,
    why: "That it has been final shows that the site can be left with the last reference: whatever \
          held the inode this time does not always (fs/inode.c, iput()).",
    says: &[words(
        "If the inode use count hits zero, the inode is then freed and may also be destroyed.",
        "fs/inode.c, iput()",
    )],
    seen_in: "As for one-shrink-away.",
    way_out: "As for the rules that it would break.",
    expected_when: "Where the final puts were made in contexts that were harmless, and in unsafe \
                    ones another reference is held by design.",
};
