//! Pictures and commands of an open camera.

use std::time::{Duration, Instant};

use aravis::glib::object::Cast;
use aravis::prelude::*;
use aravis::{
    Buffer, BufferPayloadType, BufferStatus, Camera, ChunkParser, GvStream, GvStreamOption, GvStreamPacketResend,
    GvStreamSocketBuffer, Stream,
};

use super::{Opened, ffi, gige_device};
use crate::capture::SourceError;
use crate::capture::genicam::config::GenicamConfig;
use crate::capture::genicam::driver::{Connection, Control, Convert, Pictures, Raw};
use crate::capture::genicam::pixels::RawImage;
use crate::capture::statistics::Packets;

/// GigE Vision's register that says who controls the camera, and its bits for control and exclusive access.
const CONTROL_CHANNEL_PRIVILEGE: u64 = 0x0A00;
const CONTROLLED: u32 = 0b11;
/// What cameras may say with each picture: SFNC's names of the chunks.
const CHUNKS: [&str; 2] = ["ExposureTime", "FrameID"];
/// No camera sends more in one picture.
const LARGEST: u32 = 1 << 30;

/// Prepares the stream, its buffers and the chunks.
pub(super) fn connect(opened: Opened, config: &GenicamConfig) -> Result<Connection, SourceError> {
    let (camera, mut facts) = (opened.camera.clone(), opened.facts.clone());
    let said = |what: &'static str| {
        move |error: aravis::glib::Error| SourceError(format!("the camera's {what}: {}", error.message()))
    };
    let chunks = chunks(&camera);
    let payload = camera.payload().map_err(said("PayloadSize cannot be read"))?;
    if payload == 0 || payload > LARGEST {
        return Err(SourceError(format!(
            "the camera says that a picture takes {payload} bytes: check its region and pixel format"
        )));
    }
    if camera.is_gv_device() && facts.address.starts_with("127.") {
        // Raw sockets see nothing of the loopback.
        camera.gv_set_stream_options(GvStreamOption::PACKET_SOCKET_DISABLED);
    }
    let stream = camera.create_stream().map_err(said("stream cannot be made"))?;
    if let Some(gige) = stream.downcast_ref::<GvStream>() {
        tune(gige, config, payload, &mut facts.notes);
    }
    for _ in 0..config.buffers {
        stream.push_buffer(Buffer::new_allocate(payload as usize));
    }
    facts.rate = camera.frame_rate().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    Ok(Connection { facts, control: Box::new(Commands { opened }), pictures: Box::new(Shots { stream, chunks }) })
}

fn tune(stream: &GvStream, config: &GenicamConfig, payload: u32, notes: &mut Vec<String>) {
    stream.set_packet_resend(if config.resend { GvStreamPacketResend::Always } else { GvStreamPacketResend::Never });
    if let Some(ms) = config.retention_ms {
        stream.set_frame_retention(ms.saturating_mul(1000));
    }
    let wanted = config.socket_buffer.unwrap_or(payload);
    match config.socket_buffer {
        Some(bytes) => {
            stream.set_socket_buffer(GvStreamSocketBuffer::Fixed);
            stream.set_socket_buffer_size(i32::try_from(bytes).unwrap_or(i32::MAX));
        }
        None => stream.set_socket_buffer(GvStreamSocketBuffer::Auto),
    }
    let allowed =
        std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(allowed) = allowed.filter(|allowed| *allowed < u64::from(wanted)) {
        notes.push(format!(
            "net.core.rmem_max is {allowed}, less than the {wanted} bytes that the stream's socket should hold: packets may be lost; `sysctl -w net.core.rmem_max={}`",
            u64::from(wanted).max(33_554_432)
        ));
    }
}

/// Switches on what the camera can say with each picture; none if it can say nothing.
fn chunks(camera: &Camera) -> Option<Chunks> {
    if !camera.is_feature_available("ChunkModeActive").unwrap_or(false) || camera.set_chunk_mode(true).is_err() {
        return None;
    }
    let [exposure, number] = CHUNKS.map(|chunk| camera.set_chunk_state(chunk, true).is_ok());
    Some(Chunks { parser: camera.create_chunk_parser()?, exposure, number })
}

struct Chunks {
    parser: ChunkParser,
    exposure: bool,
    number: bool,
}

struct Commands {
    opened: Opened,
}

impl Control for Commands {
    fn start(&mut self) -> Result<(), String> {
        self.opened
            .camera
            .start_acquisition()
            .map_err(|error| format!("acquisition cannot be started: {}", error.message()))
    }

    fn stop(&mut self) {
        if let Err(error) = self.opened.camera.stop_acquisition() {
            tracing::debug!("acquisition cannot be stopped: {}", error.message());
        }
    }

    fn fire(&mut self) -> Result<(), String> {
        self.opened.camera.software_trigger().map_err(|error| format!("a software trigger failed: {}", error.message()))
    }

    fn alive(&mut self) -> Result<(), String> {
        let lost = |error: aravis::glib::Error| format!("no answer ({})", error.message());
        if self.opened.fake {
            return Ok(());
        }
        let Some(gige) = gige_device(&self.opened.camera) else {
            return self.opened.camera.payload().map(drop).map_err(lost);
        };
        let (read, privilege) = gige.read_register(CONTROL_CHANNEL_PRIVILEGE).map_err(lost)?;
        match (read, gige.is_controller() && privilege & CONTROLLED != 0) {
            (false, _) => Err("no answer".to_owned()),
            (true, false) => {
                Err("it does not obey us any more (it was restarted, or another program took it)".to_owned())
            }
            (true, true) => Ok(()),
        }
    }
}

struct Shots {
    stream: Stream,
    chunks: Option<Chunks>,
}

impl Pictures for Shots {
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>)) {
        let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let Some(buffer) = self.stream.timeout_pop_buffer(wait_us) else { return };
        let arrived = Instant::now();
        let mut number = buffer.frame_id();
        let mut exposure_us = None;
        let whole = buffer.status() == BufferStatus::Success;
        if whole
            && buffer.has_chunks()
            && let Some(chunks) = &self.chunks
        {
            let float = |name| chunks.parser.float_value(&buffer, name).ok();
            exposure_us = chunks.exposure.then(|| float("ChunkExposureTime")).flatten();
            let count = || chunks.parser.integer_value(&buffer, "ChunkFrameID").ok();
            number = chunks.number.then(count).flatten().and_then(|count| u64::try_from(count).ok()).unwrap_or(number);
        }
        let image = image(&buffer);
        let shown = image.as_ref().map(|image| image as &dyn Convert).map_err(Clone::clone);
        take(Raw { number, stamp_ns: buffer.timestamp(), arrived, exposure_us, image: shown });
        drop(image);
        self.stream.push_buffer(buffer);
    }

    fn packets(&self) -> Packets {
        let count = |name| self.stream.info_uint64_by_name(name);
        let underruns = count("n_underruns");
        if self.stream.downcast_ref::<GvStream>().is_none() {
            return Packets { underruns, ..Packets::default() };
        }
        Packets {
            missing: count("n_missing_packets"),
            resend_requests: count("n_resend_requests"),
            resent: count("n_resent_packets"),
            underruns,
        }
    }
}

fn image(buffer: &Buffer) -> Result<RawImage<'_>, String> {
    match buffer.status() {
        BufferStatus::Success => {}
        BufferStatus::Timeout | BufferStatus::MissingPackets => {
            return Err("packets of the picture were lost and did not come when asked for again: check packet size, socket buffer, switch".to_owned());
        }
        BufferStatus::SizeMismatch => {
            return Err("the picture is larger than its buffer: were region or pixel format changed?".to_owned());
        }
        BufferStatus::Aborted => return Err("the picture's transfer was aborted".to_owned()),
        other => return Err(format!("the picture did not arrive whole ({other:?})")),
    }
    let payload = buffer.payload_type();
    if !matches!(payload, BufferPayloadType::Image | BufferPayloadType::ExtendedChunkData) {
        return Err(format!(
            "the camera sent {payload:?}, no plain picture: switch multi-part and compressed payloads off"
        ));
    }
    let [width, height, padding] =
        [buffer.image_width(), buffer.image_height(), buffer.image_padding().0].map(u32::try_from);
    let (Ok(width), Ok(height), Ok(padding)) = (width, height, padding) else {
        return Err("the camera gives its picture a negative size".to_owned());
    };
    Ok(RawImage {
        width,
        height,
        format: buffer.image_pixel_format().raw(),
        padding: padding as usize,
        bytes: ffi::bytes(buffer),
    })
}
