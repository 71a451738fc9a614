-- What was done to containers through the engine, in order.
SELECT ts, type, action, name, image, exit_code
FROM docker_events
ORDER BY ts, seq
