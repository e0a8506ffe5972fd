"""Every API by the name that a scenario gives it."""

from __future__ import annotations

from generator.apis.api import Api
from generator.apis.openai_chat import OpenAIChat

API: dict[str, Api] = {api.name: api for api in (OpenAIChat(),)}
