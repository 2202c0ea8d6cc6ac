//! The broker: RabbitMQ over mutual TLS.
