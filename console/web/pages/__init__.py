"""The dashboard: pages rendered here, small modules in the browser, and the service's own API between them."""
