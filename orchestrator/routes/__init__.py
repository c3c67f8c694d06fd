"""The routes of the REST interface: they translate, and decide nothing."""
