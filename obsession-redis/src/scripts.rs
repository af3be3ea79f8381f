//! The scripts: one for each operation that decides and writes.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// A script, and the name under which servers remember it.
pub(crate) struct Lua {
    code: &'static str,
    hash: LazyLock<String>,
}

macro_rules! lua {
    ($name:ident: $($part:literal)*) => {
        pub(crate) static $name: Lua = {
            const CODE: &str = concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n"),*);
            Lua { code: CODE, hash: LazyLock::new(|| Script::new(CODE).get_hash().to_owned()) }
        };
    };
}

lua!(NEW: "enter" "extend" "new");
lua!(MADE: "made" "extend" "done");
lua!(CREATE: "read" "common" "drop" "keep" "write" "create");
lua!(UPDATE: "read" "common" "drop" "keep" "write" "update");
lua!(SWAP: "swap");
lua!(ASIDE: "aside");
lua!(TOUCH: "common" "keep" "touch");
lua!(DELETE: "common" "drop" "delete");
lua!(EXPIRE: "common" "expire");
lua!(INDEX: "keep" "index");
lua!(ENTRIES: "entries");
lua!(FORGET: "common" "forget");

/// A command to a server. A call of a script can be made by its name or with all of it.
#[derive(Clone)]
pub(crate) struct Command {
    /// By name, if it is a script.
    pub(crate) short: Cmd,
    code: Option<&'static str>,
}

impl Command {
    /// The same call, with the script for a server that does not know it. It does afterwards.
    pub(crate) fn whole(&self) -> Option<Cmd> {
        let code = self.code?;
        let mut whole = redis::cmd("EVAL");
        whole.arg(code);
        for arg in self.short.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                whole.arg(bytes);
            }
        }
        Some(whole)
    }
}

/// A command of these parts, in memory that is taken once.
pub(crate) fn cmd(parts: &[&[u8]]) -> Cmd {
    let size = parts.iter().map(|part| part.len()).sum();
    let mut cmd = Cmd::with_capacity(parts.len(), size);
    for part in parts {
        cmd.arg(*part);
    }
    cmd
}

impl From<Cmd> for Command {
    fn from(short: Cmd) -> Self {
        Self { short, code: None }
    }
}

impl Lua {
    pub(crate) fn call(&'static self, keys: &[&[u8]], args: &[&[u8]]) -> Command {
        let count = keys.len().to_string();
        let head: [&[u8]; 3] = [b"EVALSHA", self.hash.as_bytes(), count.as_bytes()];
        Command {
            short: cmd(&[&head, keys, args].concat()),
            code: Some(self.code),
        }
    }
}
