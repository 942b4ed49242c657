"""The nouns: frozen values that flow between the stages. Imports nothing of ours.

Every value is a frozen, slotted `msgspec.Struct`; sequences are tuples, times are aware UTC datetimes, sizes octets.
Structs that belong to a closed union carry a tag, so that the store can write and read them back.
"""
