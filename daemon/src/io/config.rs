//! `[trigger]` and `[plc]`: who says when a part is there, and how the PLC is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// Who calls for parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggeredBy {
    /// The source says by itself when a part is there.
    #[default]
    Source,
    /// The PLC calls for each part.
    Plc,
}

/// `[trigger]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerSection {
    /// `source` or `plc`.
    pub by: TriggeredBy,
    /// A picture must come within this time of its call; otherwise the part gets no decision.
    pub frame_ms: u32,
}

impl Default for TriggerSection {
    fn default() -> TriggerSection {
        TriggerSection { by: TriggeredBy::Source, frame_ms: 200 }
    }
}

/// `[plc]`: what holds for every protocol, and one section for the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlcSection {
    /// A result that is not acknowledged within this time is an alarm.
    pub ack_ms: u32,
    /// Between two beats of the heart.
    pub heartbeat_ms: u32,
    /// A PLC that was not heard of for this time is an alarm.
    pub lost_ms: u32,
    /// Names of recipes, by which the PLC may ask for them: the first one has index 1.
    pub recipes: Vec<String>,
    /// The PLC asks us.
    pub modbus_server: Option<ModbusServerSection>,
    /// We ask the PLC.
    pub modbus_client: Option<ModbusClientSection>,
}

impl Default for PlcSection {
    fn default() -> PlcSection {
        PlcSection {
            ack_ms: 1000,
            heartbeat_ms: 500,
            lost_ms: 3000,
            recipes: Vec::new(),
            modbus_server: None,
            modbus_client: None,
        }
    }
}

/// `[plc.modbus_server]`: the PLC is the client of our registers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModbusServerSection {
    /// Address and port; port 0: any free one. This machine only, unless told otherwise.
    pub listen: SocketAddr,
    /// Addresses of machines that are let in, besides this one.
    pub allow: Vec<IpAddr>,
    /// Unit id that is answered; absent: all.
    pub unit: Option<u8>,
    /// Connections that are open at once; further ones are turned away.
    pub max_connections: u32,
    /// A connection without a whole request for this time is closed.
    pub idle_ms: u32,
}

impl Default for ModbusServerSection {
    fn default() -> ModbusServerSection {
        ModbusServerSection {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1502),
            allow: Vec::new(),
            unit: None,
            max_connections: 8,
            idle_ms: 10_000,
        }
    }
}

/// `[plc.modbus_client]`: we are the client of the PLC's holding registers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModbusClientSection {
    /// The PLC's address and port.
    pub address: Option<SocketAddr>,
    /// Unit id; absent: 255, the device itself.
    pub unit: Option<u8>,
    /// First of the 20 holding registers that the PLC writes and we read.
    pub read_at: u16,
    /// First of the 20 holding registers that we write and the PLC reads; absent: 100.
    pub write_at: Option<u16>,
    /// Between two reads; absent: 10.
    pub poll_ms: Option<u32>,
    /// How long an answer may take; absent: 500.
    pub answer_ms: Option<u32>,
}

impl TriggerSection {
    /// What is wrong with it: key, and a text that reads on after it. `hang_ms`: how long the source may take to answer.
    pub fn problems(&self, plc: Option<&PlcSection>, hang_ms: u32) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, text: &str| problems.push((format!("trigger.{key}"), text.to_owned()));
        match (self.by, plc) {
            (TriggeredBy::Plc, None) => {
                problem("by", "is `plc`, but there is none: add `[plc]`, or write `by = \"source\"`");
            }
            (TriggeredBy::Source, Some(_)) => {
                problem(
                    "by",
                    "is `source`, but results go to a PLC by the id of its call: write `by = \"plc\"`, or remove `[plc]`",
                );
            }
            (TriggeredBy::Plc, Some(_)) | (TriggeredBy::Source, None) => {}
        }
        if self.by == TriggeredBy::Plc && !(1..=hang_ms).contains(&self.frame_ms) {
            let text = format!("is {}: give 1 to {hang_ms}, which is `line.limits.hang_ms`", self.frame_ms);
            problem("frame_ms", &text);
        }
        problems
    }
}

impl PlcSection {
    /// What is wrong with it: key, and a text that reads on after it.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                problems.push((format!("plc.{key}"), format!("is {value}: give {least} to {most}")));
            }
        };
        within("ack_ms", self.ack_ms, 10, 600_000);
        within("heartbeat_ms", self.heartbeat_ms, 50, 10_000);
        within("lost_ms", self.lost_ms, 100, 600_000);
        if let Some(server) = &self.modbus_server {
            within("modbus_server.max_connections", server.max_connections, 1, 64);
            within("modbus_server.idle_ms", server.idle_ms, 100, 600_000);
        }
        if let Some(client) = &self.modbus_client {
            within("modbus_client.poll_ms", client.poll_ms(), 1, 10_000);
            within("modbus_client.answer_ms", client.answer_ms(), 10, 10_000);
        }
        let mut problem = |key: &str, text: String| problems.push((format!("plc{key}"), text));
        match (&self.modbus_server, &self.modbus_client) {
            (None, None) => {
                problem(
                    "",
                    "does not say how the PLC is reached: add `[plc.modbus_server]` or `[plc.modbus_client]`".into(),
                );
            }
            (Some(_), Some(_)) => {
                problem(
                    "",
                    "has both `[plc.modbus_server]` and `[plc.modbus_client]`: one of them carries the signals".into(),
                );
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        let mut seen = Vec::new();
        for name in &self.recipes {
            if name.is_empty() || seen.contains(&name) {
                problem(
                    ".recipes",
                    format!("has `{name}`, which is empty or there twice: an index stands for one recipe"),
                );
            }
            seen.push(name);
        }
        if self.recipes.len() > usize::from(u16::MAX - 1) {
            problem(".recipes", "has more names than a register has numbers".into());
        }
        if let Some(server) = &self.modbus_server
            && !server.listen.ip().is_loopback()
            && server.allow.is_empty()
        {
            let text = "is empty, but `plc.modbus_server.listen` is reached from other machines, and Modbus knows no passwords: \
                        name the addresses that may ask, the PLC's first of all";
            problem(".modbus_server.allow", text.into());
        }
        if let Some(client) = &self.modbus_client {
            if client.address.is_none() {
                problem(
                    ".modbus_client.address",
                    "is missing: give the PLC's address and port, as 192.168.0.10:502".into(),
                );
            }
            let (read, write) = (u32::from(client.read_at), u32::from(client.write_at()));
            if read.abs_diff(write) < 20 || read.max(write) > 65_516 {
                let text = "overlaps `read_at` or runs past the last register: each block has 20";
                problem(".modbus_client.write_at", text.into());
            }
        }
        problems
    }
}

impl ModbusClientSection {
    /// See the field.
    pub fn write_at(&self) -> u16 {
        self.write_at.unwrap_or(100)
    }

    /// See the field.
    pub fn poll_ms(&self) -> u32 {
        self.poll_ms.unwrap_or(10)
    }

    /// See the field.
    pub fn answer_ms(&self) -> u32 {
        self.answer_ms.unwrap_or(500)
    }
}
