"""The dashboard: pages rendered here, small modules in the browser, and the service's own API between them."""

from console.web.pages.routes import router

__all__ = ["router"]
