"""The whole path: settings -> graph of stages -> run, plan, report. The only place that sees every part."""
