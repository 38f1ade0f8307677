"""The library on disk: rows, records, locks, index, repair."""

from firstsight.process import defer_import

# The client of a catalogue in the cloud, which LanceDB imports and a folder never uses: a third of its start.
defer_import("lance_namespace_urllib3_client")
