"""Events against `pickglass schema event`: of all that a test process sees, one of each shape."""
import json, subprocess

try:
    import jsonschema
except ImportError:
    jsonschema = None

FREE = ("values", "args", "locals", "registers")  # the program's own
seen, schema = set(), {}


def shape(event):
    """What the schema looks at: the keys of the event, of the objects in it, and of those in its lists."""
    objects = {(key, *sorted(value)) for key, value in event.items() if isinstance(value, dict) and key not in FREE}
    rows = {(key, *sorted(row)) for key, value in event.items() if isinstance(value, list) for row in value if isinstance(row, dict)}
    return (event["type"], *sorted(event)), frozenset(objects), frozenset(rows)


def read_schema(pickglass):
    if not schema:
        schema.update(json.loads(subprocess.run([pickglass, "schema", "event"], capture_output=True, text=True, check=True).stdout))
        jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def wrong_with(event, pickglass):
    """Why the schema refuses the event; none if it takes it."""
    if jsonschema.Draft202012Validator(read_schema(pickglass)).is_valid(event):
        return []
    kinds = [kind for kind in schema["oneOf"] if kind["properties"]["type"]["const"] == event["type"]]
    return [error.message for kind in kinds for error in jsonschema.Draft202012Validator(kind).iter_errors(event)] or ["no such type"]


def wrong_events(events, pickglass):
    """(why, event) of those that have a shape that was not seen yet, and that the schema refuses."""
    events = [event for event in events if jsonschema and "$schema" not in event]  # a schema is JSON in one line, too
    fresh = {key: event for event in events if (key := shape(event)) not in seen}
    seen.update(fresh)
    return [(why, event) for event in fresh.values() if (why := wrong_with(event, pickglass))]
