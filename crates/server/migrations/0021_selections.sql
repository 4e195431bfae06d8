-- Whom an order was meant for may be somebody's name or the hash of their number. Once its messages are made nobody asks for
-- it: it means nobody from then on, and nothing is left in it of who is erased later.
UPDATE sends SET selection = '{"ids":[]}' WHERE expanded;
