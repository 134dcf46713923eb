"""Tells whoever is on call of breaches and warnings: once per alert and receiver, repeated until it is accepted."""

from consumers.alerts.alertmanager import AlertmanagerReceiver
from consumers.alerts.consumer import Alerts
from consumers.alerts.receiver import Receiver
from consumers.alerts.webhook import WebhookReceiver

__all__ = ["AlertmanagerReceiver", "Alerts", "Receiver", "WebhookReceiver"]
