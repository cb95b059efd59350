//! Modbus TCP, both ways round: the PLC asks us ([`ModbusServer`]), or we ask the PLC ([`ModbusClient`]). The registers are the same
//! ([`map`]). Sources: MODBUS Application Protocol Specification V1.1b3; MODBUS Messaging on TCP/IP Implementation Guide V1.0b.

mod client;
mod guarded;
pub mod map;
mod server;

pub use client::ModbusClient;
pub use server::ModbusServer;
