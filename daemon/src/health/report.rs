//! How the machine is, at one moment: plain data, as the API shows it and the alert rules read it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// How the machine is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthReport {
    /// When it was looked at.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// NVIDIA graphics cards. Having none is normal.
    pub gpus: GpuReport,
    /// Processors.
    pub cpu: CpuReport,
    /// Memory.
    pub memory: MemoryReport,
    /// Disks that records and logs lie on.
    pub disks: Vec<DiskReport>,
    /// The wall clock.
    pub clock: ClockState,
}

/// What the NVIDIA driver says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct GpuReport {
    /// The cards that answer.
    pub cards: Vec<GpuCard>,
    /// A driver is there and something does not answer, in words.
    #[schema(required = true)]
    pub trouble: Option<String>,
}

/// One graphics card. A value that the card does not report is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct GpuCard {
    /// Never changes, wherever the card is put.
    pub uuid: String,
    /// Its name, for people.
    pub name: String,
    /// Share of time that it worked, percent.
    #[schema(required = true)]
    pub busy_percent: Option<u32>,
    /// Memory in use, bytes.
    #[schema(required = true)]
    pub memory_used_bytes: Option<u64>,
    /// Memory, bytes.
    #[schema(required = true)]
    pub memory_total_bytes: Option<u64>,
    /// Degrees Celsius.
    #[schema(required = true)]
    pub temperature_c: Option<u32>,
    /// From here on the card slows itself down, degrees Celsius.
    #[schema(required = true)]
    pub slowdown_c: Option<u32>,
    /// Watts.
    #[schema(required = true)]
    pub power_w: Option<f64>,
    /// Watts that it may take.
    #[schema(required = true)]
    pub power_limit_w: Option<f64>,
    /// Why it runs slower than it could, other than by being idle or set so.
    pub throttled_by: Vec<ThrottleReason>,
    /// Memory errors that could not be corrected, since the driver was loaded.
    #[schema(required = true)]
    pub ecc_uncorrected: Option<u64>,
    /// The driver's critical errors (XID) since this program started, newest last, at most 16.
    pub xid: Vec<u64>,
}

/// Why a card is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleReason {
    /// Hardware: too hot.
    HwThermal,
    /// Driver: too hot.
    SwThermal,
    /// Hardware: the power supply asks for it.
    PowerBrake,
    /// Hardware: heat, power brake or too much current.
    HwSlowdown,
    /// Driver: the power limit is reached.
    PowerCap,
}

impl ThrottleReason {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            ThrottleReason::HwThermal => "too hot (hardware)",
            ThrottleReason::SwThermal => "too hot (driver)",
            ThrottleReason::PowerBrake => "power brake",
            ThrottleReason::HwSlowdown => "hardware slowdown",
            ThrottleReason::PowerCap => "power limit",
        }
    }
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CpuReport {
    /// How many this program may use.
    pub cores: usize,
    /// Share of all cores' time that was used since the look before, percent.
    #[schema(required = true)]
    pub busy_percent: Option<f64>,
    /// Load average over one minute.
    #[schema(required = true)]
    pub load_1m: Option<f64>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct MemoryReport {
    /// Of the machine, bytes.
    #[schema(required = true)]
    pub total_bytes: Option<u64>,
    /// That programs can still get, bytes.
    #[schema(required = true)]
    pub available_bytes: Option<u64>,
    /// That this program has, bytes.
    #[schema(required = true)]
    pub own_bytes: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct DiskReport {
    /// What lies on it.
    pub path: String,
    /// Size, bytes.
    pub total_bytes: u64,
    /// Free for this program, bytes.
    pub free_bytes: u64,
    /// Days until it is full if it goes on as in the last day; null while that is unknown, or if it does not fill up.
    #[schema(required = true)]
    pub days_left: Option<f64>,
}

/// Whether the wall clock is right: records carry its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// A time server sets it.
    Synchronised,
    /// No time server does.
    Free,
    /// Nobody knows.
    Unknown,
}
